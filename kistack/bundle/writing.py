"""Writing a bundle: everything that answers, in one folder that can be copied elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kistack.bundle.manifest import Licence, Manifest, Part
from kistack.domain.artifacts import Artifact
from kistack.errors import StoreError

#: Names under which licence texts lie in model folders and packages.
LICENCE_NAMES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE")


def write_bundle(folder: Path, manifest: Manifest, models: Mapping[str, Artifact], index: Artifact | None) -> Manifest:
    """Copy the delivered artifacts and all they require into ``folder``, with their manifest and licence texts.

    Args:
        folder: the bundle; it appears whole or not at all.
        manifest: what is known of it; parts, models, index and licence texts are filled in here.
        models: delivered slots; each artifact's ``opener`` is the runtime that answers.
        index: what is searched, if anything.

    Raises:
        StoreError: the folder cannot be written.
    """
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        parts: dict[str, Part] = {}
        names = {slot: _add(parts, making, a) for slot, a in models.items()}
        index_name = _add(parts, making, index) if index is not None else ""
        written = manifest.model_copy(
            update={
                "parts": parts,
                "models": names,
                "index": index_name,
                "licences": _licence_texts(manifest.licences, parts, making),
            }
        )
        written.write(making)
        if folder.exists():
            shutil.rmtree(folder)
        making.rename(folder)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        raise StoreError(
            f"the bundle {folder} cannot be written: {error.strerror or error}", "free disk space and run again"
        ) from error
    return written


def _add(parts: dict[str, Part], folder: Path, artifact: Artifact) -> str:
    """Copy an artifact and what it requires; returns its part's name."""
    name = f"{artifact.kind}-{artifact.digest[:12]}"
    if name in parts:
        return name
    target = folder / name
    # Links are followed: a bundle must not point at files of this machine.
    shutil.copytree(artifact.path, target, symlinks=False)
    required = {port: _add(parts, folder, other) for port, other in zip(artifact.ports, artifact.requires, strict=True)}
    opener = artifact.opener
    parts[name] = Part.model_validate(
        {
            "kind": artifact.kind,
            "format": artifact.format,
            "path": name,
            "digest": artifact.digest,
            "key": artifact.key,
            "facets": dict(artifact.facets),
            "facts": dict(artifact.facts),
            "requires": required,
            "opener": None if opener is None else {"stage": opener.stage, "settings": dict(opener.settings)},
        }
    )
    return name


def _licence_texts(licences: tuple[Licence, ...], parts: Mapping[str, Part], folder: Path) -> tuple[Licence, ...]:
    """Gather licence texts into ``LICENSES/``: those of the scenario's data, and those that lie in the parts."""
    target = folder / "LICENSES"
    gathered = []
    for licence in licences:
        text = Path(licence.text) if licence.text else None
        if text is None or not text.is_file():
            gathered.append(licence.model_copy(update={"text": ""}))
            continue
        target.mkdir(exist_ok=True)
        name = f"{licence.of.replace('/', '-')}-{text.name}"
        shutil.copyfile(text, target / name)
        gathered.append(licence.model_copy(update={"text": f"LICENSES/{name}"}))
    named = {g.of for g in gathered}
    for part_name, part in parts.items():
        for name in LICENCE_NAMES:
            if (folder / part.path / name).is_file() and part_name not in named:
                gathered.append(Licence(of=part_name, licence="see text", text=f"{part.path}/{name}"))
                break
    return tuple(gathered)
