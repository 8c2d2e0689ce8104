"""The probe: what the untouched base model answers of a few training pairs, kept while all it rests on stands.

Three shares replace the largest assumptions of the quality model: what the model knows (closed-book), what it reads off
the right passage (with the gold passage given), and what retrieval finds (recall; the answers with retrieved passages
stand beside it). A probe is one small JSON file that names what it rests on: base model, training pairs and wording,
documents, retriever, embedder and metric. When one of them changes it is not used any more, and the profile says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kistack.domain.facts import Fact, Profile, assumed, measured
from kistack.domain.plan import Step
from kistack.plugins.host import Host
from kistack.storage.files import read_json, storing, write_json

PROBE_SCHEMA = 1
#: Pairs asked unless the user says otherwise: a share of one half is then known to within 15 points (95 % interval of
#: a binomial share, Clopper and Pearson 1934), for minutes of a small model on two cores.
DEFAULT_PAIRS = 40
#: The shares of a probe: how their questions were put.
SHARES = {
    "closed_book": "answered without documents",
    "gold_passage": "answered with the passage that holds the answer",
    "retrieved": "answered with the passages that were retrieved",
    "recall": "of which the gold document, or an accepted answer, is among what was retrieved",
}
#: What a probe rests on, in words.
_GROUNDS = {
    "base": "the base model",
    "pairs": "the training pairs or their wording",
    "corpus": "the documents",
    "retriever": "the retriever",
    "embedder": "the embedder",
    "metric": "the metric",
}


@dataclass(frozen=True, slots=True)
class Share:
    """A share of ``count`` pairs, 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found.

    ``shares`` are named as in ``SHARES``; ``missing`` maps those that could not be had to the reason. ``pairs`` of the
    ``available`` training pairs were asked. ``grounds`` is what the shares hold for. ``made`` is a date (UTC, ISO
    8601), ``seconds`` the time it took.
    """

    shares: Mapping[str, Share]
    pairs: int
    available: int
    metric: str
    base: str
    retriever: str
    grounds: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    seconds: float = 0.0

    def facts(self) -> dict[str, Fact]:
        """The facts ``probe.*`` of a profile."""
        why = f"the first {self.pairs} of {self.available} training pairs in the order of their hashes, {self.made}"
        lacking = "".join(f"; {SHARES[name]}: not asked, {reason}" for name, reason in self.missing.items())
        facts = {
            "probe.pairs": measured(self.pairs, why + lacking),
            "probe.seconds": measured(round(self.seconds, 1), "what asking them took", "s"),
        }
        for name, share in self.shares.items():
            by = f" by {self.retriever}" if name in {"retrieved", "recall"} else f" by {self.base}"
            judged = "" if name == "recall" else f", judged by {self.metric}"
            interval = f"95 % interval {100 * share.low:.0f} to {100 * share.high:.0f} %"
            text = f"share of {share.count} training pairs {SHARES[name]}{by}{judged}; {interval}"
            facts[f"probe.{name}"] = measured(round(share.value, 4), text, "share")
        return facts

    def to_json(self) -> dict[str, Any]:
        """A JSON document with a ``schema``."""
        return {"schema": PROBE_SCHEMA, **asdict(self)}


_READER = TypeAdapter(Probe)


def without_probe(profile: Profile) -> Profile:
    """The profile a probe starts from: what an earlier one found must not choose what this one asks."""
    return Profile({n: f for n, f in profile.facts.items() if not n.startswith("probe.")}, profile.schema)


def grounds_of(profile: Profile, host: Host, retriever: Step | None) -> dict[str, str]:
    """What a probe of this profile with this retriever would rest on."""
    found = {
        "base": profile.text("model.identity") or profile.text("model.reference"),
        "pairs": profile.text("pairs.identity"),
        "metric": profile.text("scenario.metric", "contained"),
        "corpus": "",
        "retriever": "",
        "embedder": "",
    }
    if retriever is not None:
        settings = json.dumps(dict(retriever.with_), sort_keys=True)
        found["corpus"] = profile.text("corpus.identity")
        found["retriever"] = f"{retriever.use} {host.get(retriever.use).stage.version} {settings}"
        found["embedder"] = profile.text("embedder.identity") or profile.text("embedder.reference")
    return found


# --- keeping


def keep(folder: Path, probe: Probe) -> None:
    """Keep a probe in ``folder``, in the place of an earlier one that rests on the same.

    Raises:
        StoreError: the folder cannot be written.
    """
    with storing(folder, "keeping a probe"):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(_path(folder, probe.grounds), probe.to_json())


def stored(folder: Path, grounds: Mapping[str, str]) -> Probe | None:
    """The probe that was kept for exactly these grounds; None also where its file is damaged."""
    found = _read(_path(folder, grounds))
    return found if found is not None and dict(found.grounds) == dict(grounds) else None


def any_stored(folder: Path) -> bool:
    """Whether a probe was ever kept here."""
    return any(folder.glob("*.json"))


def unprobed(folder: Path, grounds: Mapping[str, str]) -> dict[str, Fact]:
    """The fact that nothing is probed, and why: never, or what has changed since."""
    others = [p for p in map(_read, sorted(folder.glob("*.json"))) if p is not None]
    if not others:
        why = "no probe can be read" if any_stored(folder) else "nothing was probed yet"
    else:
        nearest = min(others, key=lambda p: (len(_changed(p, grounds)), [-ord(c) for c in p.made]))
        changed = " and ".join(_changed(nearest, grounds))
        verb = "have" if " and " in changed or changed.startswith(("the training pairs", "the documents")) else "has"
        why = f"the probe of {nearest.made} does not hold any more: {changed} {verb} changed"
    return {"probe.pairs": assumed(0, f"{why}; to ask the base model some training pairs: kistack profile --probe")}


def _changed(probe: Probe, grounds: Mapping[str, str]) -> list[str]:
    return [words for name, words in _GROUNDS.items() if probe.grounds.get(name, "") != grounds.get(name, "")]


def _path(folder: Path, grounds: Mapping[str, str]) -> Path:
    text = json.dumps([PROBE_SCHEMA, dict(grounds)], sort_keys=True)
    return folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Probe | None:
    document = read_json(path)
    if document is None or document.pop("schema", None) != PROBE_SCHEMA:
        return None
    try:
        return _READER.validate_python(document)
    except ValidationError:
        return None
