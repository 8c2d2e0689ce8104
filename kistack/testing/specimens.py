"""Tiny artifacts of every kind and format that the installed plugins know of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import ANSWERS_FILE, CORPUS_FILE, PAIRS_FILE, Artifact, Opener
from kistack.execution.job import reference_of
from kistack.plugins.host import Host, default_settings
from kistack.plugins.stages import Out, Port, Stage, Traits
from kistack.storage.hashing import walk
from kistack.testing.rehearsal import FORMAT, RehearsedIndex, RehearsedModel
from kistack.testing.texts import tiny_answers, tiny_corpus, tiny_items, tiny_pairs
from kistack.testing.tiny_models import tiny_encoder, tiny_llama
from kistack.testing.trial import Asked, attempt

_SECONDS = 300.0
#: Kinds whose artifacts are rows, and the file they lie in.
ROW_FILES = {"corpus": CORPUS_FILE, "pairs": PAIRS_FILE, "items": PAIRS_FILE, "answers": ANSWERS_FILE}


class NoSpecimen(Exception):
    """Nothing installed makes what a port asks for; the message says what that is."""


class Specimens:
    """Makes tiny artifacts under ``root``, each once.

    Documents, pairs, items, answers, a Hugging Face model and a sentence embedder are written here. Other formats come
    from plugins that offer them (``kistack_make_specimen``), else from running the installed stage that makes them.
    """

    def __init__(self, root: Path, host: Host) -> None:
        self._root = root
        self._host = host
        self._made: dict[tuple[str, str, str], Artifact] = {}
        self._making: set[tuple[str, str]] = set()

    def for_port(self, port: Port) -> Artifact:
        """An artifact that meets ``port``, with what opens it where it is opened.

        Raises:
            NoSpecimen: nothing installed makes one.

        """
        forms = [f for f in port.where.get("format", "").split("|") if f]
        if port.opened and not forms:
            return self._stand_in(port.kind)
        passages = port.where.get("passages", port.prefer.get("passages", "")).split("|")[0]
        found = self.of(port.kind, forms, passages)
        wrong = [
            n for n, wanted in port.where.items() if n != "format" and found.facets.get(n) not in wanted.split("|")
        ]
        if wrong:
            found = self._suited(port, found, wrong)
        return self._with_opener(found) if port.opened else found

    def of(self, kind: str, forms: list[str] | None = None, passages: str = "") -> Artifact:
        """An artifact of that kind, in one of the formats if any are named.

        Raises:
            NoSpecimen: nothing installed makes one.

        """
        for form in forms or [""]:
            key = (kind, form, passages)
            if key in self._made:
                return self._made[key]
            found = self._written(kind, form, passages) or self._offered(kind, form) or self._run_for(kind, form)
            if found is not None:
                self._made[key] = found
                return found
        wanted = f"kind {kind}" + (f", format {' or '.join(forms)}" if forms else "")
        raise NoSpecimen(wanted)

    def _folder(self, *names: str) -> Path:
        folder = self._root / "-".join(n.replace("/", "-") for n in names if n)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _written(self, kind: str, form: str, passages: str) -> Artifact | None:
        with_them = passages == "with"
        texts: Mapping[str, Callable[[Path], Artifact]] = {
            "corpus": tiny_corpus,
            "pairs": lambda folder: tiny_pairs(folder, passages=with_them),
            "items": lambda folder: tiny_items(folder, passages=with_them),
            "answers": tiny_answers,
        }
        if kind in texts and form in {"", "jsonl"}:
            return texts[kind](self._folder(kind, passages))
        if kind == "model" and form in {"", "hf"}:
            return tiny_llama(self._folder(kind, "hf"))
        if kind == "embedder" and form in {"", "sentence-transformers"}:
            return tiny_encoder(self._folder(kind))
        return None

    def _offered(self, kind: str, form: str) -> Artifact | None:
        return self._host.make_specimen(kind, form, self._folder("offered", kind, form))

    def _run_for(self, kind: str, form: str) -> Artifact | None:
        """What the first stage, by name, that makes such an artifact leaves; itself fed with specimens."""
        if (kind, form) in self._making:
            return None
        self._making.add((kind, form))
        try:
            for stage in (e.stage for _, e in sorted(self._host.stages.items())):
                made = self._by(stage, kind, form)
                if made is not None:
                    return made
        finally:
            self._making.discard((kind, form))
        return None

    def _by(self, stage: Stage, kind: str, form: str) -> Artifact | None:
        if any(f.is_required() for f in stage.Settings.model_fields.values()):
            return None
        settings = default_settings(stage)
        traits = self._host.traits(stage.name)
        makes = [n for n, o in traits.produces.items() if o.kind == kind and form in {"", o.format}]
        if not makes or traits.network or stage.name == "answer/items":
            return None
        if traits.environment is not None and not traits.environment.is_made:
            return None
        try:
            given = {n: (self.for_port(p),) for n, p in traits.consumes.items() if not p.optional}
        except NoSpecimen:
            return None
        root = self._folder("made", stage.name, kind, form)
        asked = Asked(stage.name.replace("/", "-"), stage, settings, given)
        [tried] = attempt(root, [asked], self._host.get(stage.name).plugin, seconds=_SECONDS)
        if tried.outcome is None or tried.error:
            raise NoSpecimen(f"kind {kind}, format {form}, for {stage.name} failed: {tried.error}")
        facts = tried.outcome.facts
        return artifact_of(stage, settings, traits, makes[0], tried.outs[makes[0]], given, facts[makes[0]])

    def _stand_in(self, kind: str) -> Artifact:
        if kind == "index":
            corpus = self.of("corpus")
            numbers = {"count": 40.0, "passages": 2.0, "passage_tokens": 10.0, "bytes": corpus.fact("bytes")}
            opener = Opener(reference_of(RehearsedIndex()))
            return Artifact("index", FORMAT, corpus.path, "", "tiny-index", {}, numbers, opener=opener)
        model = self.of(kind)
        return dataclasses.replace(model, format=FORMAT, opener=Opener(reference_of(RehearsedModel())))

    def _with_opener(self, found: Artifact) -> Artifact:
        if found.opener is not None:
            return found
        openers = self._host.openers(found.kind, found.format)
        if not openers:
            raise NoSpecimen(f"a stage that opens kind {found.kind}, format {found.format}")
        return dataclasses.replace(found, opener=Opener(reference_of(openers[0])))

    def _suited(self, port: Port, found: Artifact, wrong: list[str]) -> Artifact:
        """The artifact with facets as the port wants them, where a facet is only a name for what is there."""
        for name in wrong:
            if name not in {"vocabulary", "content"}:
                raise NoSpecimen(f"kind {port.kind} with {name} {port.where[name]}")
        facets = {**found.facets, **{n: port.where[n].split("|")[0] for n in wrong}}
        return dataclasses.replace(found, facets=facets)


def artifact_of(
    stage: Stage,
    settings: Any,
    traits: Traits,
    name: str,
    path: Path,
    given: Mapping[str, tuple[Artifact, ...]],
    facts: Mapping[str, float],
) -> Artifact:
    """Output ``name`` of a run as an artifact: format and facets as composing has them."""
    out: Out = traits.produces[name]
    source = given[out.like][0] if out.like in given else None
    form = out.format or (source.format if source else "")
    inherited = {n: v for n, v in source.facts.items() if n != "bytes"} if source else {}
    requires: tuple[Artifact, ...] = tuple(a for port in out.requires for a in given.get(port, ()))
    ports = tuple(port for port in out.requires for _ in given.get(port, ()))
    if not out.requires and source is not None and not out.same and form == source.format:
        requires, ports = source.requires, source.ports
    opens_itself = any(o.covers(out.kind, form) for o in traits.opens)
    return Artifact(
        kind=out.kind,
        format=form,
        path=path,
        digest="",
        key=f"{stage.name}/{name}",
        facets={**(source.facets if source else {}), **out.set},
        facts={**inherited, **facts},
        requires=requires,
        ports=ports,
        opener=Opener(reference_of(stage), settings.model_dump(mode="json")) if opens_itself else None,
    )


def bytes_of(folder: Path) -> int:
    """Bytes of all files under a folder; links are followed, as the store does."""
    return sum(file.stat().st_size for _, file in walk(folder))


def emptied(artifact: Artifact, folder: Path) -> Artifact:
    """The artifact without a row, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in artifact.path.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(b"" if file.suffix == ".jsonl" else file.read_bytes())
    facts = {**artifact.facts, "count": 0.0, "bytes": 0.0, "tokens": 0.0}
    return dataclasses.replace(artifact, path=folder, facts=facts)
