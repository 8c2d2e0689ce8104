"""How fast the documents change: from dated snapshots, git history, the documents' own dates, or what is declared.

Documents are cut into pieces (lines and sentences). A piece of an earlier state that is gone in the later one was
*changed* if its document also gained one in exchange, else *removed*; what else is new was *added*. Between two states
a piece survives with probability exp(-h·days): the hazard h is fitted by maximum likelihood over all intervals, each
weighted by its pieces and days, and shared among changes and removals as they were seen (competing risks). Pieces of
one document change together, so the 95 % interval resamples whole documents.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kistack.domain.facts import Fact, Origin
from kistack.domain.scenario import CorpusPart, Scenario
from kistack.errors import DataError
from kistack.profiling.corpus import Corpus, read_corpus
from kistack.profiling.documents import Document
from kistack.profiling.history import states_in_git
from kistack.units import format_rate

#: What is assumed where nothing is known: the rate of a reference work that is kept up to date. Measured with this
#: module on the government sections of the CIA World Factbook, 2022-12-31 to 2023-12-31: 2,147 of 15,790 pieces in 254
#: documents changed, 0.040 %/day (release data of 383 products at five dates: 0.043). Other corpora may lie far off.
ASSUMED_PER_DAY, ASSUMED_LOW, ASSUMED_HIGH = 4.0e-4, 0.0, 4.0e-3

#: Half-lives are stated up to a century: beyond, the difference does not matter and infinity is no number in JSON.
LONGEST_HALF_LIFE = 36_500.0

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])")
_DATE_IN_ID = re.compile(r"[-_@. ]?(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])")
_RESAMPLES = 200
_LEAST_DATED = 5


@dataclass(frozen=True, slots=True)
class Freshness:
    """Rates per day, with the 95 % interval of ``changed_per_day``; None where nothing can be said.

    ``changed_per_day`` is the hazard that one piece of content is replaced, ``removed_per_day`` that it goes without
    replacement, ``added_per_day`` new pieces per existing piece. ``source`` is declared, snapshots, git, dates or
    assumed.
    """

    source: str
    origin: Origin
    why: str
    changed_per_day: float
    low: float
    high: float
    added_per_day: float | None = None
    removed_per_day: float | None = None
    age_days: float | None = None

    @property
    def half_life_days(self) -> float:
        """Days until half of the content has changed, at most ``LONGEST_HALF_LIFE``."""
        rate = self.changed_per_day
        return min(math.log(2) / rate, LONGEST_HALF_LIFE) if rate > 0 else LONGEST_HALF_LIFE


@dataclass(frozen=True)
class State:
    """The pieces of every document on a date."""

    as_of: dt.date
    pieces: Mapping[str, frozenset[str]]


@dataclass
class Changes:
    """What happened to documents between states: one row per document and interval."""

    documents: list[str] = field(default_factory=list)
    days: list[float] = field(default_factory=list)
    counts: list[tuple[int, int, int, int]] = field(default_factory=list)  # pieces before, changed, removed, added

    def add(self, document: str, days: float, counts: tuple[int, int, int, int]) -> None:
        """One row."""
        self.documents.append(document)
        self.days.append(days)
        self.counts.append(counts)


def pieces_of(text: str) -> frozenset[str]:
    """The distinct lines and sentences of a text, without differences of spacing."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return frozenset(piece for line in lines if line for piece in _SENTENCE.split(line))


def state_of(documents: Iterable[Document], as_of: dt.date) -> State:
    """The pieces of these documents. Dates within ids (``report-2024-07-01``) are left out where ids stay distinct."""
    listed = list(documents)
    bare = [_DATE_IN_ID.sub("", d.id) for d in listed]
    ids = bare if len(set(bare)) == len(bare) else [d.id for d in listed]
    return State(as_of, {i: pieces_of(d.text) for i, d in zip(ids, listed, strict=True)})


def compare(states: Sequence[State], into: Changes | None = None, part: str = "") -> Changes:
    """What changed between each state and the next (dates must rise)."""
    changes = Changes() if into is None else into
    for before, after in itertools.pairwise(states):
        days = float((after.as_of - before.as_of).days)
        vanished = before.pieces.keys() - after.pieces.keys()
        appeared = after.pieces.keys() - before.pieces.keys()
        # A document that was renamed or split is neither removed nor added: its pieces go on under another id.
        moved_to = frozenset().union(*(after.pieces[i] for i in appeared))
        moved_from = frozenset().union(*(before.pieces[i] for i in vanished))
        for ident, old in before.pieces.items():
            new = after.pieces.get(ident)
            lost = old - (moved_to if new is None else new)
            gained = frozenset() if new is None else new - old
            changed = min(len(lost), len(gained))
            changes.add(part + ident, days, (len(old), changed, len(lost) - changed, len(gained) - changed))
        for ident in sorted(appeared):
            changes.add(part + ident, days, (0, 0, 0, len(after.pieces[ident] - moved_from)))
    return changes


def fit(changes: Changes) -> tuple[float, float, float, float, float]:
    """Hazards per day: changed, its 95 % interval (low, high), removed; and the rate added.

    Raises:
        DataError: there is nothing to compare.

    """
    import numpy as np

    days = np.asarray(changes.days)
    counts = np.asarray(changes.counts, dtype=float).reshape(-1, 4)
    exposure = float(counts[:, 0] @ days) if len(days) else 0.0
    if exposure <= 0:
        raise DataError("the states of the corpus have nothing in common to compare", "give two states of one corpus")
    _, cluster = np.unique(np.asarray(changes.documents), return_inverse=True)
    spans, span = np.unique(days, return_inverse=True)
    # Per document and span of time: pieces, changed, removed.
    table = np.zeros((cluster.max() + 1, len(spans), 3))
    np.add.at(table, (cluster, span), counts[:, :3])
    generator = np.random.default_rng(0)
    weights = generator.multinomial(len(table), np.full(len(table), 1 / len(table)), size=_RESAMPLES)
    sums = np.concatenate([table.sum(0)[None], np.tensordot(weights, table, axes=(1, 0))])
    changed = _hazards(sums, spans, 1)
    removed = _hazards(sums, spans, 2)
    low, high = np.percentile(changed[1:], [2.5, 97.5])
    # With no event seen the rate may still be anything up to three per exposure (rule of three).
    high = max(float(high), 3 / exposure)
    return float(changed[0]), float(low), high, float(removed[0]), float(counts[:, 3].sum()) / exposure


def _hazards(sums: Any, spans: Any, column: int) -> Any:
    """The hazard of one kind of event per resample, from (resamples, spans, [pieces, changed, removed])."""
    import numpy as np

    pieces, events = sums[:, :, 0], sums[:, :, 1] + sums[:, :, 2]
    # Where nothing survived, half a piece did: the likelihood has no maximum otherwise.
    survived = np.maximum(pieces - events, 0.0)
    survived = np.where((survived.sum(1, keepdims=True) == 0) & (pieces > 0), 0.5, survived)
    low, high = np.zeros(len(sums)), np.full(len(sums), 50.0 / float(spans.min()))
    for _ in range(80):  # bisection on the likelihood's derivative, which falls in the hazard
        middle = (low + high) / 2
        lived = np.expm1(np.minimum(middle[:, None] * spans, 500.0))
        slope = (events * spans / np.maximum(lived, 1e-300) - survived * spans).sum(1)
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    total = events.sum(1)
    share = np.divide(sums[:, :, column].sum(1), total, out=np.zeros(len(sums)), where=total > 0)
    return np.where(total > 0, (low + high) / 2, 0.0) * share


# --- the sources, most certain first


def freshness(scenario: Scenario, corpus: Corpus, today: dt.date) -> Freshness:
    """How fast this corpus changes, from the best source there is: declared, snapshots, git, dates, else assumed.

    Raises:
        DataError: snapshots that cannot be read or are not older than the corpus.

    """
    knowledge = scenario.knowledge
    age = _age(corpus, knowledge.as_of, today)
    if knowledge.changes.mode != "measured":
        rate = knowledge.changes.per_day
        why = f"declared as {knowledge.changes.text}"
        return Freshness("declared", "declared", why, rate, rate, rate, age_days=age)
    found = _from_snapshots(scenario, corpus, today, age) or _from_git(knowledge.corpus, corpus, today, age)
    return found or _from_dates(corpus, knowledge.as_of or today, age) or _assumed(age)


def _age(corpus: Corpus, as_of: dt.date | None, today: dt.date) -> float | None:
    dates = [d.date for d in corpus.documents if d.date is not None]
    if len(dates) * 2 >= len(corpus.documents):
        return round(sum(max(0, (today - d).days) for d in dates) / len(dates), 1)
    return None if as_of is None else float(max(0, (today - as_of).days))


def _from_snapshots(scenario: Scenario, corpus: Corpus, today: dt.date, age: float | None) -> Freshness | None:
    knowledge = scenario.knowledge
    if not knowledge.snapshots:
        return None
    newest = max((d.date for d in corpus.documents if d.date is not None), default=None)
    last = max(s.as_of for s in knowledge.snapshots)
    dates = (knowledge.as_of, newest if newest is not None and newest > last else None, today)
    as_of = next(d for d in dates if d is not None)
    states = [
        state_of(read_corpus([CorpusPart(path=s.path)]).documents, s.as_of)
        for s in sorted(knowledge.snapshots, key=lambda s: s.as_of)
    ]
    states.append(state_of(corpus.documents, as_of))
    for before, after in itertools.pairwise(states):
        if after.as_of <= before.as_of:
            raise DataError(
                f"two states of the corpus have the dates {before.as_of} and {after.as_of}",
                "give every snapshot its own date, and knowledge.as_of a later one",
            )
    why = f"{len(states)} dated states from {states[0].as_of} to {as_of}"
    if knowledge.as_of is None:
        why += f" (the corpus's own date, {as_of}, is {'its newest document' if as_of == newest else 'today'})"
    return _measured("snapshots", why, compare(states), age)


def _from_git(parts: Sequence[CorpusPart], corpus: Corpus, today: dt.date, age: float | None) -> Freshness | None:
    changes, dates = Changes(), []
    for part in parts:
        past = states_in_git(part.path, today)
        if past is None:
            return None
        names = {d.part for d in corpus.documents}
        current = [d for d in corpus.documents if len(names) == 1 or d.part == part.name]
        states = [state_of(documents, date) for date, documents in past]
        compare([*states, state_of(current, today)], changes, f"{part.name}/")
        dates += [date for date, _ in past]
    if not dates or not changes.days:
        return None
    return _measured("git", f"git history from {min(dates)} to {today}, {len(dates)} states", changes, age)


def _measured(source: str, why: str, changes: Changes, age: float | None) -> Freshness:
    changed, low, high, removed, added = fit(changes)
    pieces = sum(c[0] for c in changes.counts)
    documents = len(set(changes.documents))
    interval = f"95 % interval {format_rate(low, item='%', digits=2)} to {format_rate(high, item='%', digits=2)}"
    text = f"{why}: {pieces} pieces of {documents} documents compared; {interval}"
    return Freshness(source, "measured", text, changed, low, high, added, removed, age)


def _from_dates(corpus: Corpus, as_of: dt.date, age: float | None) -> Freshness | None:
    """From the ages of documents: with a steady hazard, times since the last change are exponential."""
    dates = [d.date for d in corpus.documents if d.date is not None and d.date <= as_of]
    if len(dates) < _LEAST_DATED or len(dates) * 2 < len(corpus.documents):
        return None
    ages = [max(1, (as_of - d).days) for d in dates]
    rate = len(ages) / sum(ages)
    recent = Counter(a <= 365 for a in ages)[True]  # noqa: PLR2004 - a year
    why = (
        f"{len(dates)} documents have dates; taken as each one's last change, which is unsure: "
        "if they are dates of publication, less changes. Give dated snapshots to measure it"
    )
    return Freshness("dates", "assumed", why, rate, 0.0, 2 * rate, recent / (365 * len(ages)), None, age)


def _assumed(age: float | None) -> Freshness:
    why = (
        "nothing shows how fast the documents change: the rate of a reference work kept up to date (government "
        "sections of the CIA World Factbook, 2022 to 2023). Declare knowledge.changes, or give dated snapshots"
    )
    return Freshness("assumed", "assumed", why, ASSUMED_PER_DAY, ASSUMED_LOW, ASSUMED_HIGH, age_days=age)


def freshness_facts(found: Freshness) -> dict[str, Fact]:
    """The facts ``freshness.*`` of a profile."""

    def fact(value: float | str | None, unit: str = "") -> Fact:
        shown = float(f"{value:.6g}") if isinstance(value, float) else value
        return Fact(shown, unit, found.origin, found.why)

    facts = {
        "source": fact(found.source),
        "changed_per_day": fact(found.changed_per_day, "1/day"),
        "changed_low": fact(found.low, "1/day"),
        "changed_high": fact(found.high, "1/day"),
        "half_life_days": fact(found.half_life_days, "day"),
    }
    for name, value, unit in (
        ("added_per_day", found.added_per_day, "1/day"),
        ("removed_per_day", found.removed_per_day, "1/day"),
    ):
        if value is not None:
            facts[name] = fact(value, unit)
    if found.age_days is not None:
        facts["age_days"] = Fact(found.age_days, "day", "measured", "mean age of the documents by their dates")
    return {f"freshness.{name}": value for name, value in facts.items()}
