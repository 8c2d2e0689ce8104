"""Where models come from: a local folder, the hub, a GGUF file, an installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.errors import ModelError
from kistack.plugins.stages import Context, Out, Settings, Stage, Traits
from kistack_transformers import finding, folders, gguf_files, hub, licences
from kistack_transformers.header import read_header
from kistack_transformers.references import hub_name, kind_of, local_path, package_module, package_path

Role = Literal["auto", "model", "embedder"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

#: Memory of a worker that only puts links into a folder.
_LINKING_BYTES = 0.045e9
#: Cautious download rate (B/s): nobody measured the user's line.
_DOWNLOAD = 10e6


class SourceSettings(Settings):
    """Which model, and what for."""

    reference: str = Field(min_length=1, description="the model, as the scenario names it")
    role: Role = Field(default="auto", description="language model or sentence embedder; auto tells it from its files")


class HubSettings(SourceSettings):
    """A model of the hub."""

    revision: str = Field(
        default="", description="commit, tag or branch; empty for the one in the cache, else the newest"
    )


class UnpackingSettings(SourceSettings):
    """A model that may lie in a GGUF file."""

    dtype: Precision = Field(
        default="auto",
        description="number format of unpacked weights; auto keeps plain ones and unpacks blocks to bf16",
    )


_SECTIONS = ("model", "teacher", "embedder")
_FACTS = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "bytes")


class ModelSource(Stage):
    """What the sources share: the model lies in a folder, which is linked, or in a GGUF file, which is unpacked."""

    kind: ClassVar[str]
    Settings: ClassVar[type[Settings]] = SourceSettings

    def locate(self, settings: Any) -> Path:
        """The folder or GGUF file that the settings name.

        Raises:
            ModelError: it is not there.

        """
        return local_path(settings.reference)

    def claims(self, reference: str) -> Any | None:
        """Settings for ``reference`` where it is written the way of this source."""
        return self.Settings.model_validate({"reference": reference}) if kind_of(reference) == self.kind else None

    def role(self, settings: Any) -> str:
        """``model`` or ``embedder``: as the settings say, else by a glance at the files (no files: ``model``)."""
        if settings.role != "auto":
            return str(settings.role)
        try:
            return "embedder" if folders.is_embedder(self.locate(settings)) else "model"
        except ModelError:
            return "model"  # inspect says what is wrong

    def traits(self, settings: Any) -> Traits:
        """One output, ``model``, in the slot of its role."""
        kind = self.role(settings)
        form = "sentence-transformers" if kind == "embedder" else "hf"
        return Traits(produces={"model": Out(kind=kind, format=form, slot=kind)}, processor=True)

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[Any]:
        """Nothing to judge: the user names the model."""
        return []

    def resolve(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Any:
        """The role and the number format that ``auto`` stands for (none where nothing is unpacked)."""
        chosen = {"role": self.role(settings)}
        place = self.locate(settings)
        if getattr(settings, "dtype", "") == "auto" and place.is_file():
            chosen["dtype"] = gguf_files.choose_format(read_header(place), "auto")[0]
        return settings.model_copy(update=chosen)

    def inspect(self, settings: Any) -> Type:
        """The type of what ``run`` will leave, from headers and JSON files; the identity hashes all content."""
        place = self.locate(settings)
        found = self._describe(settings, place)
        if place.is_dir():
            names = folders.files(place, embedder=self.role(settings) == "embedder")
            return replace(found, identity=folders.digest(place, names))
        return replace(found, identity=gguf_files.digest(place, settings.dtype))

    def _describe(self, settings: Any, place: Path) -> Type:
        if not place.is_file():
            return folders.describe(place, self.role(settings))
        if self.role(settings) != "model":
            raise ModelError(f"{place}: a GGUF file cannot serve as embedder", "name a sentence-transformers folder")
        if not hasattr(settings, "dtype"):
            raise ModelError(f"{place}: a file, where a model folder was expected", "name the folder that it lies in")
        return gguf_files.describe(place, settings.dtype)

    def estimate(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Linking takes next to nothing; unpacking a GGUF file reads, casts and writes every weight."""
        place = self.locate(settings)
        found = _profiled(settings, profile) or self._describe(settings, place)
        if place.is_dir():
            return Estimate({"seconds": 0.5, "peak_bytes": _LINKING_BYTES}, {"model": dict(found.facts)})
        costs = {"seconds": gguf_files.seconds(found), "peak_bytes": gguf_files.peak_bytes(found)}
        return Estimate(costs, {"model": dict(found.facts)})

    def run(self, settings: Any, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Link the folder's files, or unpack the GGUF file; the licence's text lies beside them."""
        place, out = self.locate(settings), ctx.out("model")
        found = self._describe(settings, place)
        if place.is_dir():
            folders.link(place, folders.files(place, embedder=self.role(settings) == "embedder"), out)
        else:
            from kistack_transformers.conversion import convert

            precision, reason = gguf_files.choose_format(read_header(place), settings.dtype)
            ctx.log(f"weights of {place.name} are unpacked to {reason}")
            convert(place, out, precision)
            found = folders.describe(out, "model")
        text = self.licence_text(settings)
        if text and not licences.text_in(out):
            (out / "LICENSE").write_text(text, encoding="utf-8")
        ctx.progress(1, 1, "model")
        size = float(sum(p.stat().st_size for p in out.rglob("*") if p.is_file()))
        return {"model": {**found.facts, "bytes": size}}

    def cards(self, settings: Any) -> Path:
        """Where the model's card, licence and templates can be read: its own place, unless a source knows better."""
        return self.locate(settings)

    def licence(self, settings: Any) -> str:
        """SPDX identifier of the model's licence: from its model card or GGUF metadata; empty where none is stated."""
        place = self.cards(settings)
        if place.is_dir():
            return licences.of_card(place)
        return licences.spdx(gguf_files.licence(place)) or licences.of_card(place.parent)

    def licence_text(self, settings: Any) -> str:
        """The licence's text: beside the model, else of a licence that reads the same for every work."""
        place = self.cards(settings)
        beside = licences.text_in(place if place.is_dir() else place.parent)
        return beside or licences.shipped(self.licence(settings))

    def knowledge_cutoff(self, settings: Any) -> str:
        """Until when the model knows the world (``YYYY-MM``), where its card or chat template says so."""
        place = self.cards(settings)
        folder = place if place.is_dir() else place.parent
        texts = [p.read_text(encoding="utf-8", errors="replace") for p in _telling(folder) if p.is_file()]
        if not place.is_dir():
            texts.append(gguf_files.chat_template(place))
        return licences.cutoff(*texts)


def _profiled(settings: Any, profile: Profile) -> Type | None:
    """What the profile says of this very model: it was read from the same files, whose tokenizer takes long to read."""
    for section in _SECTIONS:
        if profile.text(f"{section}.reference") != settings.reference:
            continue
        if getattr(settings, "dtype", "auto") not in {"auto", profile.text(f"{section}.precision")}:
            continue
        facts = {n: profile.number(f"{section}.{n}") for n in _FACTS if f"{section}.{n}" in profile}
        if {"params", "bytes"} <= facts.keys():
            return Type("model", facts=facts)
    return None


def _telling(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / n for n in ("README.md", "chat_template.jinja", "tokenizer_config.json"))


class FolderSource(ModelSource):
    """A Hugging Face or sentence-transformers folder on this machine. Its files are linked, never copied or written."""

    name = "source/folder"
    summary = "a local Hugging Face or sentence-transformers folder"
    kind = "folder"


class GgufSource(ModelSource):
    """A GGUF file, unpacked once to safetensors, so that it can be trained, merged and quantized anew."""

    name = "source/gguf"
    summary = "a GGUF file, unpacked to safetensors"
    kind = "gguf"
    libraries = ("gguf", "safetensors", "tokenizers", "torch", "transformers")
    Settings = UnpackingSettings

    def locate(self, settings: Any) -> Path:
        """The file, which must be there."""
        path = local_path(settings.reference)
        if not path.is_file():
            raise ModelError(f"{path}: no such file", "name a .gguf file that exists")
        return path

    def traits(self, settings: Any) -> Traits:
        """Unpacking needs torch and transformers."""
        return replace(super().traits(settings), packages=("gguf", "torch", "transformers"))


class PackageSource(ModelSource):
    """An installed Python package that carries a GGUF file or a model folder; it is found without importing it."""

    name = "source/package"
    summary = "weights in an installed Python package: package:NAME or package:NAME/sub/folder"
    kind = "package"
    libraries = GgufSource.libraries
    Settings = UnpackingSettings

    def installed(self) -> Iterator[tuple[str, int]]:
        """References and bytes of the models in installed packages."""
        return finding.in_packages()

    def locate(self, settings: Any) -> Path:
        """The file or folder inside the package."""
        return package_path(settings.reference)

    def licence(self, settings: Any) -> str:
        """The model's own licence; where it states none, the package's."""
        return super().licence(settings) or licences.of_distribution(package_module(settings.reference))[0]

    def licence_text(self, settings: Any) -> str:
        """The text beside the model; else the package's, where it is of the same licence; else the common one."""
        place = self.locate(settings)
        own = licences.text_in(place if place.is_dir() else place.parent)
        identifier, text = licences.of_distribution(package_module(settings.reference))
        stated = self.licence(settings)
        return own or (text if identifier == stated else "") or licences.shipped(stated)


class HubSource(ModelSource):
    """A model of the Hugging Face hub, through the cache that transformers shares.

    A model in the cache is used as it lies there and no other machine is asked; a newer one is had by its revision.
    """

    name = "source/hub"
    summary = "a model of the Hugging Face hub: hub:org/name or hub:org/name@revision"
    kind = "hub"
    Settings = HubSettings

    def installed(self) -> Iterator[tuple[str, int]]:
        """References and bytes of the models in the cache."""
        return finding.in_hub_cache()

    def locate(self, settings: Any) -> Path:
        """The model's folder in the cache.

        Raises:
            ModelError: not in the cache, or not whole.

        """
        name, revision = self._named(settings)
        found = hub.cached(name, revision)
        if found is None:
            raise ModelError(
                f"hub:{name}: not in the local cache",
                f"fetch it where there is a network: kistack models fetch hub:{name}",
            )
        return found

    def _named(self, settings: Any) -> tuple[str, str]:
        name, revision = hub_name(settings.reference)
        return name, settings.revision or revision

    def _is_cached(self, settings: Any) -> bool:
        return hub.cached(*self._named(settings)) is not None

    def traits(self, settings: Any) -> Traits:
        """It talks to the hub only where the cache lacks the model."""
        return replace(super().traits(settings), network=not self._is_cached(settings), packages=("huggingface_hub",))

    def resolve(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Any:
        """The role, and the commit that the revision means now: nothing changes between planning and running."""
        name, revision = self._named(settings)
        return settings.model_copy(update={"revision": hub.commit(name, revision), "role": self._found(settings).kind})

    def inspect(self, settings: Any) -> Type:
        """As for a folder, identified by its commit. Of a model not in the cache only the small files are fetched."""
        name, revision = self._named(settings)
        commit = hub.commit(name, revision)
        return replace(self._found(settings), identity=hashlib.sha256(f"hub {name} {commit}".encode()).hexdigest())

    def cards(self, settings: Any) -> Path:
        """The folder in the cache; of a model that is not there, the one with its small files, which are fetched."""
        name, revision = self._named(settings)
        return hub.cached(name, revision) or hub.peek(name, revision)[0]

    def _found(self, settings: Any) -> Type:
        name, revision = self._named(settings)
        place, stored = hub.cached(name, revision), None
        if place is None:
            place, stored = hub.peek(name, revision)
        role = settings.role
        if role == "auto":
            role = "embedder" if folders.is_embedder(place) else "model"
        return folders.describe(place, role, stored)

    def estimate(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Nothing where the cache has it, else a download of unknown speed."""
        found = self._found(settings)
        seconds = 0.5 if self._is_cached(settings) else 5 + found.fact("bytes") / _DOWNLOAD
        return Estimate({"seconds": seconds, "peak_bytes": 2 * _LINKING_BYTES}, {"model": dict(found.facts)})

    def fetch(self, settings: Any) -> Path:
        """Bring the whole model into the cache, and say where it lies."""
        return hub.fetch(*self._named(settings))

    def run(self, settings: Any, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Fetch what the cache lacks, then link it."""
        if not self._is_cached(settings):
            ctx.log(f"fetching {settings.reference} from the hub")
            self.fetch(settings)
        return super().run(settings, ctx)
