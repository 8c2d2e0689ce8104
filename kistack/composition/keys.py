"""Keys: the full hash of everything that decides a step's result, known before anything runs."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Opener
from kistack.domain.facts import Profile
from kistack.plugins.environments import Environment
from kistack.plugins.stages import Settings, Stage, Traits


def digest_of(document: Any) -> str:
    """SHA-256 of a JSON document with sorted names."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@cache
def _hash_tree(root: str) -> str:
    path = Path(root)
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    total = hashlib.sha256()
    for file in files:
        total.update(str(file.relative_to(path) if file != path else file.name).encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def source_digest(cls: type[Stage]) -> str:
    """Hash of the source that decides what a stage does: its top-level package, or its module within the core.

    The core's own stages share a package with everything else, so there the module alone counts. A class without a
    source file (made in a console) counts by its name and version.
    """
    return _source_digest(cls.__module__, cls.__qualname__, cls.version)


@cache
def _source_digest(module_name: str, qualname: str, version: str) -> str:
    module = sys.modules.get(module_name)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return digest_of([module_name, qualname, version])
    top = module_name.partition(".")[0]
    if top in {"kistack", module_name}:
        return _hash_tree(file)
    package = sys.modules.get(top)
    origin = getattr(package, "__file__", None)
    return _hash_tree(str(Path(origin).parent)) if origin else digest_of(inspect.getsource(module))


def library_version(distribution: str, environment: Environment | None = None) -> str:
    """Version of a distribution installed here, or in an environment of its own; empty where it is missing.

    One installed from a checkout may change under the same version, so there its source counts too.
    """
    return _version_here(distribution) if environment is None else environment.version(distribution)


@cache
def _version_here(distribution: str) -> str:
    try:
        dist = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return ""
    url = dist.read_text("direct_url.json")
    if url and json.loads(url).get("dir_info", {}).get("editable"):
        spec = importlib.util.find_spec(distribution.replace("-", "_"))
        if spec is not None and spec.origin:
            return f"{dist.version}+{_hash_tree(str(Path(spec.origin).parent))[:16]}"
    return dist.version


def numerics(profile: Profile) -> str:
    """The numerics class of the machine that computes: device kind, instruction set and number of cores.

    Sums are split among threads, so another number of cores rounds differently.
    """
    if profile.number("hardware.gpus") > 0:
        return "cuda"
    return f"cpu/{profile.text('hardware.isa', 'unknown')}/{profile.number('hardware.cores', 1):.0f}"


def spelled(settings: Settings, drop: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The settings that differ from their defaults, so that a spelled-out default is the same key."""
    dumped = settings.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in dumped.items() if name not in drop}


def _opening_libraries(opener: Opener, stage: Stage) -> dict[str, str]:
    if not stage.libraries:
        return {}
    environment = stage.traits(stage.Settings.model_validate(dict(opener.settings))).environment
    return {name: library_version(name, environment) for name in stage.libraries}


def key_of(  # noqa: PLR0913 - a key is made of everything that decides the result
    stage: Stage,
    settings: Settings,
    traits: Traits,
    *,
    inputs: Mapping[str, Sequence[str]],
    openers: Mapping[str, tuple[Opener, Stage]],
    seed: int,
    profile: Profile,
    extra: str = "",
) -> str:
    """The key of a node.

    Args:
        stage: its stage.
        settings: resolved settings.
        traits: the stage's traits under these settings.
        inputs: port to the identities of what it reads.
        openers: port to what opens it, with the stage that does.
        seed: the plan's seed; counts only where the stage is seeded.
        profile: for the numerics class and, for timed stages, the machine.
        extra: content that no port carries (the digest of a source's files).
    """
    document: dict[str, Any] = {
        "stage": [stage.name, stage.version, source_digest(type(stage))],
        "libraries": {name: library_version(name, traits.environment) for name in stage.libraries},
        "settings": spelled(settings, stage.open_settings),
        "inputs": {port: list(ids) for port, ids in inputs.items()},
        "openers": {
            port: [
                opener.stage,
                opening.version,
                source_digest(type(opening)),
                dict(opener.settings),
                _opening_libraries(opener, opening),
            ]
            for port, (opener, opening) in openers.items()
        },
    }
    if traits.seeded:
        document["seed"] = seed
    if stage.libraries or openers:
        document["numerics"] = numerics(profile)
    if traits.timed:
        document["machine"] = profile.text("hardware.fingerprint")
    if extra:
        document["extra"] = extra
    return digest_of(document)
