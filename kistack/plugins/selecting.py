"""Selecting: the documents of some parts of the corpus, and the pairs that are about them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from kistack.domain.artifacts import CORPUS_FILE, PAIRS_FILE, Type
from kistack.domain.facts import Profile
from kistack.domain.prompt import template_of
from kistack.domain.records import Estimate
from kistack.errors import InputError, StepFailed
from kistack.plugins.stages import Context, Out, Port, Settings, Stage, Traits

#: Seconds for each document and bytes of JSON lines read per second, memory of a worker that reads them one by one and
#: what it keeps of each document (measured on one core, with documents of 0.2, 1 and 5 kB: 1.1, 1.0 and 0.5 s for 200,
#: 100 and 20 thousand of them; 150 to 180 bytes each over a process of 32 MB, its output and log not counted).
_SECONDS_PER_DOCUMENT = 5e-6
_BYTES_PER_SECOND = 300e6
_WORKER_BYTES = 0.04e9
_BYTES_PER_DOCUMENT = 170.0


class SelectSettings(Settings):
    """Which parts of the corpus are read."""

    parts: tuple[str, ...] = Field(
        default=(), description="names of parts of the corpus; !name means all but that one, and the two may be mixed"
    )


def part_names(profile: Profile) -> tuple[str, ...]:
    """The parts of the corpus in the profile's order: ``corpus.parts``, else those that have facts of their own."""
    fact = profile.facts.get("corpus.parts")
    if fact is not None and isinstance(fact.value, str):
        return tuple(dict.fromkeys(n for n in (name.strip() for name in fact.value.split(",")) if n))
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in profile.section("part")))


def chosen_parts(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The parts among ``known`` that ``wanted`` names: those listed (all where none is), without those after ``!``.

    Raises:
        InputError: a name is no part's, or nothing is left.
    """
    listed = {w for w in wanted if w in known or not w.startswith("!")}
    spared = {w[1:] for w in wanted if w not in listed}
    for name in (w if w in listed else w[1:] for w in wanted):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            guess = f"did you mean {' or '.join(close)}? " if close else ""
            message = f"no part of the corpus is called {name!r}"
            raise InputError(message, f"{guess}its parts: {', '.join(known) or 'none'}")
    chosen = tuple(n for n in known if (n in listed or not listed) and n not in spared)
    if not chosen or not wanted:
        raise InputError(f"select [{', '.join(wanted)}] leaves nothing of the corpus", f"its parts: {', '.join(known)}")
    return chosen


def _total(profile: Profile, parts: Sequence[str], fact: str) -> float | None:
    """The sum of a fact over these parts; None where one of them lacks it."""
    names = [f"part.{part}.{fact}" for part in parts]
    return sum(profile.number(n) for n in names) if all(n in profile for n in names) else None


def _share(profile: Profile, parts: Sequence[str], fact: str) -> float:
    """The share of ``fact`` in these parts: as measured, else of documents, else of the number of parts.

    Where nobody knows the parts it is the whole, the most it can be.
    """
    known = part_names(profile)
    if not known:
        return 1.0
    for name in (fact, "documents"):
        whole, some = _total(profile, known, name), _total(profile, parts, name)
        if whole and some is not None:
            return some / whole
    return len(parts) / len(known)


def pairs_are_told_apart(profile: Profile) -> bool | None:
    """Whether training pairs name documents of the corpus, so that a selection can tell them apart; None: unknown."""
    named = _total(profile, part_names(profile), "train_pairs") if part_names(profile) else None
    if named:
        return True
    if "pairs.gold" in profile and profile.number("pairs.gold") == 0:
        return False
    return None if named is None else False


class _Select(Stage):
    """What both selections share: their settings, resolved into the names of parts."""

    Settings = SelectSettings

    def resolve(self, settings: SelectSettings, profile: Profile, inputs: Mapping[str, Type]) -> SelectSettings:
        """The parts by name, in the order of the profile, so that equal selections have equal keys.

        Raises:
            InputError: a name is no part's, or nothing is left of the documents or pairs.
        """
        known = part_names(profile)
        if not known and settings.parts:
            return settings
        chosen = chosen_parts(settings.parts, known)
        self.refuse_nothing(chosen, profile)
        return settings.model_copy(update={"parts": chosen})

    def refuse_nothing(self, parts: Sequence[str], profile: Profile) -> None:
        """Raise InputError where the facts tell that nothing is left."""
        raise NotImplementedError


class SelectDocuments(_Select):
    """The documents of some parts of the corpus, as they stand there."""

    name = "select/documents"
    summary = "documents of some parts of the corpus"

    def traits(self, settings: SelectSettings) -> Traits:
        """Put in by the composer in front of a step that selects."""
        return Traits(
            consumes={"corpus": Port(kind="corpus", where={"format": "jsonl"}, hint="name knowledge.corpus")},
            produces={"corpus": Out(kind="corpus", like="corpus", same=True)},
            processor=True,
        )

    def refuse_nothing(self, parts: Sequence[str], profile: Profile) -> None:
        """Parts without a document are refused."""
        if _total(profile, parts, "documents") == 0:
            raise InputError(f"{_named(parts)} holds no document", f"parts: {', '.join(part_names(profile))}")

    def estimate(self, settings: SelectSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading the corpus twice; what is left by the facts of its parts."""
        corpus = inputs["corpus"]
        facts = {
            name: corpus.fact(name) * _share(profile, settings.parts, of)
            for name, of in (("count", "documents"), ("tokens", "tokens"), ("bytes", "bytes"))
            if name in corpus.facts or name == "bytes"
        }
        return Estimate(_costs(corpus.fact("bytes"), corpus.fact("count")), {"corpus": facts})

    def run(self, settings: SelectSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Copy the lines of the documents that are selected.

        Raises:
            StepFailed: a name is no part's, or no document is left.
        """
        source = ctx.input("corpus")
        path = source.path / CORPUS_FILE
        found = [(row.get("part", ""), len(row["text"])) for row in _rows(path)]
        parts = set(_chosen_here(settings.parts, [part for part, _ in found]))
        kept = [(part in parts, size) for part, size in found]
        written = _copy(path, ctx.out("corpus") / CORPUS_FILE, [keep for keep, _ in kept])
        count = sum(keep for keep, _ in kept)
        ctx.progress(count, count, "documents")
        share = sum(size for keep, size in kept if keep) / max(1, sum(size for _, size in kept))
        return {"corpus": {"count": count, "bytes": written, "tokens": round(source.fact("tokens") * share)}}


class SelectPairs(_Select):
    """The pairs whose gold documents all lie in some parts of the corpus.

    A pair that names no gold document, or one that the corpus does not hold, is left out: nobody can tell what it is
    about, and a selection may be there to keep a part away from weights. Two cases differ. Where no pair names any gold
    document a selection can tell nothing of pairs, so all are kept, the pipeline's notes say so, and advice does not
    take such a step for one that leaves private parts alone. Where every part is selected nothing is left out.
    """

    name = "select/pairs"
    summary = "pairs that are about some parts of the corpus"

    def traits(self, settings: SelectSettings) -> Traits:
        """Reads the corpus to know which document lies in which part."""
        return Traits(
            consumes={
                "pairs": Port(kind="pairs", where={"format": "jsonl"}, hint="name pairs under knowledge.pairs"),
                "corpus": Port(
                    kind="corpus",
                    where={"format": "jsonl"},
                    hint="parts are those of knowledge.corpus: name them there",
                ),
            },
            produces={"pairs": Out(kind="pairs", like="pairs", same=True)},
            processor=True,
        )

    def refuse_nothing(self, parts: Sequence[str], profile: Profile) -> None:
        """Parts that no training pair is about are refused, where other parts have some."""
        if pairs_are_told_apart(profile) and _total(profile, parts, "train_pairs") == 0:
            rich = [n for n in part_names(profile) if profile.number(f"part.{n}.train_pairs")]
            raise InputError(f"no training pair is about {_named(parts)}", f"pairs are about {', '.join(rich)}")

    def estimate(self, settings: SelectSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Reading both; what is left by the pairs of each part, in proportion to its documents where unknown."""
        pairs, corpus = inputs["pairs"], inputs["corpus"]
        share = self._share_left(settings.parts, profile, pairs.fact("count"))
        facts = {n: pairs.fact(n) * share for n in ("count", "tokens", "bytes") if n in pairs.facts or n == "bytes"}
        return Estimate(_costs(corpus.fact("bytes") + pairs.fact("bytes"), corpus.fact("count")), {"pairs": facts})

    def _share_left(self, parts: Sequence[str], profile: Profile, count: float) -> float:
        if set(parts) == set(part_names(profile)) or pairs_are_told_apart(profile) is False:
            return 1.0
        left = _total(profile, parts, "train_pairs")
        if left is not None and count and part_names(profile):
            return min(1.0, left / count)
        return _share(profile, parts, "documents")

    def run(self, settings: SelectSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Copy the lines of the pairs that are selected.

        Raises:
            StepFailed: a name is no part's, or no pair is left.
        """
        part_of = {row["id"]: row.get("part", "") for row in _rows(ctx.input("corpus").path / CORPUS_FILE)}
        known = set(part_of.values())
        parts = set(_chosen_here(settings.parts, list(part_of.values())))
        source = ctx.input("pairs")
        path = source.path / PAIRS_FILE
        gold = [row.get("gold") or () for row in _rows(path)]
        if parts == known or not any(gold):
            kept = [True] * len(gold)
            if parts != known:
                ctx.log("no pair names its gold documents, so all of them are kept")
        else:
            kept = [bool(ids) and all(part_of.get(i) in parts for i in ids) for ids in gold]
        if not any(kept):
            raise StepFailed(
                f"no pair is about {_named(sorted(parts))}: none names gold documents that all lie there",
                "select other parts, or name the gold documents of more pairs (gold: ids of documents)",
            )
        out = ctx.out("pairs")
        template_of(source.path).write(out)
        written = _copy(path, out / PAIRS_FILE, kept)
        count = sum(kept)
        ctx.progress(count, count, "pairs")
        tokens = round(source.fact("tokens") * count / len(kept))
        return {"pairs": {"count": count, "bytes": written, "tokens": tokens}}


def _costs(size: float, documents: float) -> dict[str, float]:
    seconds = documents * _SECONDS_PER_DOCUMENT + size / _BYTES_PER_SECOND
    return {"seconds": seconds, "peak_bytes": _WORKER_BYTES + _BYTES_PER_DOCUMENT * documents}


def _named(parts: Sequence[str]) -> str:
    return f"part {parts[0]!r}" if len(parts) == 1 else f"parts {', '.join(parts)}"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _chosen_here(wanted: Sequence[str], parts: Sequence[str]) -> tuple[str, ...]:
    """The parts that are selected among those that the documents name."""
    try:
        return chosen_parts(wanted, tuple(dict.fromkeys(parts)))
    except InputError as error:
        raise StepFailed(error.message, error.hint) from error


def _copy(source: Path, target: Path, keep: Sequence[bool]) -> int:
    """Copy the lines that are to be kept, byte by byte; returns the bytes written."""
    written = 0
    with source.open("rb") as lines, target.open("wb") as out:
        filled = (line for line in lines if line.strip())
        for line, wanted in zip(filled, keep, strict=True):
            if wanted:
                written += out.write(line)
    return written
