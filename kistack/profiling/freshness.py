"""How fast the documents change: from dated snapshots, git history, the documents' own dates, or what is declared.

For the corpus as a whole, for each of its parts, and for the folders of a part whose rates are clearly apart. What
counts as a change and how the rates follow from it is in ``turnover``.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kistack.domain.facts import Fact, Origin
from kistack.domain.scenario import Changes, CorpusPart, Knowledge, Scenario, Snapshot
from kistack.errors import DataError
from kistack.profiling.corpus import Corpus, part_names, read_corpus, safe_name
from kistack.profiling.documents import Document
from kistack.profiling.history import states_in_git
from kistack.profiling.turnover import Interval, Place, Row, State, compare, fit, intervals, state_of, undated_id
from kistack.units import format_rate

#: What is assumed where nothing is known: the rate of a reference work that is kept up to date. Measured with this
#: module on the government sections of the CIA World Factbook, 2022-12-31 to 2023-12-31: 2,147 of 15,790 pieces in 254
#: documents changed, 0.040 %/day (release data of 383 products at five dates: 0.043). Other corpora may lie far off.
ASSUMED_PER_DAY, ASSUMED_LOW, ASSUMED_HIGH = 4.0e-4, 0.0, 4.0e-3

#: Half-lives are stated up to a century: beyond, the difference does not matter and infinity is no number in JSON.
LONGEST_HALF_LIFE = 36_500.0

_LEAST_DATED = 5
#: Sources, most certain first.
_SOURCES = ("declared", "snapshots", "git", "dates", "assumed")
#: Folders of a part that are looked at one by one: more are no longer a few kinds of documents.
_MOST_FOLDERS = 40


@dataclass(frozen=True, slots=True)
class Freshness:
    """Rates per day, with the 95 % interval of ``changed_per_day``; None where nothing can be said.

    ``changed_per_day`` is the hazard that one piece of content that stays is replaced, ``removed_per_day`` that one
    goes without replacement, ``added_per_day`` new pieces per existing piece. ``source`` is declared, snapshots, git,
    dates or assumed; ``intervals`` are what was counted between dates, oldest first.
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
    intervals: tuple[Interval, ...] = ()

    @property
    def half_life_days(self) -> float:
        """Days until half of the content has changed, at most ``LONGEST_HALF_LIFE``."""
        rate = self.changed_per_day
        return min(math.log(2) / rate, LONGEST_HALF_LIFE) if rate > 0 else LONGEST_HALF_LIFE


@dataclass(frozen=True, slots=True)
class Survey:
    """How fast the corpus changes, each part by name, and by (part, folder) the folders that are clearly apart."""

    overall: Freshness
    parts: Mapping[str, Freshness] = field(default_factory=dict)
    folders: Mapping[Place, Freshness] = field(default_factory=dict)


class _Evidence(NamedTuple):
    """What was counted between dated states, and where they are from, by name of the part (empty for all)."""

    source: str
    why: str
    rows: list[Row]


def freshness(scenario: Scenario, corpus: Corpus, today: dt.date) -> Freshness:
    """How fast this corpus changes as a whole.

    Raises:
        DataError: snapshots that cannot be read or are not older than the corpus.

    """
    return survey(scenario, corpus, today).overall


def survey(scenario: Scenario, corpus: Corpus, today: dt.date) -> Survey:
    """How fast the corpus and its parts change, each from the best source: declared, snapshots, git, dates, assumed.

    A part's own ``changes`` count before those of ``knowledge``; the rate of the whole is then the mean over the parts,
    weighted by their characters.

    Raises:
        DataError: snapshots that cannot be read or are not older than the corpus.

    """
    knowledge = scenario.knowledge
    parts = dict(zip(part_names(knowledge.corpus), knowledge.corpus, strict=True))
    said = {name: part.changes or knowledge.changes for name, part in parts.items()}
    evidence = None
    if any(changes.mode == "measured" for changes in said.values()) or not said:
        evidence = _from_snapshots(knowledge, corpus, today) or _from_git(parts, corpus, today)
    held = {n: corpus.documents if len(parts) == 1 else [d for d in corpus.documents if d.part == n] for n in parts}
    found: dict[str, Freshness] = {}
    folders: dict[Place, Freshness] = {}
    for name, documents in held.items():
        rows = [] if evidence is None else [r for r in evidence.rows if len(parts) == 1 or r.place[0] == name]
        told = None if evidence is None else evidence._replace(rows=rows)
        found[name] = _of_part(documents, said[name], told, knowledge.as_of, today)
        if told is not None and found[name].source == told.source:
            folders |= {(name, folder): fresh for folder, fresh in _folders(told).items()}
    if len(parts) == 1 and (evidence is None or found[name].source == evidence.source):
        return Survey(found[name], found, folders)
    return Survey(_overall(knowledge, corpus, found, held, evidence, today), found, folders)


def _of_part(
    documents: Sequence[Document], changes: Changes, evidence: _Evidence | None, as_of: dt.date | None, today: dt.date
) -> Freshness:
    age = _age(documents, as_of, today)
    if changes.mode != "measured":
        return _declared(changes, age)
    if evidence is not None and any(row.days * (row.pieces - row.removed) > 0 for row in evidence.rows):
        return _measured(evidence, age)
    return _from_dates(documents, as_of or today, age) or _assumed(age)


def _overall(
    knowledge: Knowledge,
    corpus: Corpus,
    parts: Mapping[str, Freshness],
    held: Mapping[str, Sequence[Document]],
    evidence: _Evidence | None,
    today: dt.date,
) -> Freshness:
    """The whole corpus: as its parts say where their sources differ, else from all documents together."""
    if len(parts) > 1 and (any(p.changes for p in knowledge.corpus) or len({f.source for f in parts.values()}) > 1):
        weights = {n: sum(len(d.text) for d in documents) for n, documents in held.items()}
        return _average(parts, weights, _age(corpus.documents, knowledge.as_of, today))
    age = _age(corpus.documents, knowledge.as_of, today)
    if knowledge.changes.mode != "measured":
        return _declared(knowledge.changes, age)
    if evidence is not None:
        return _measured(evidence, age)
    return _from_dates(corpus.documents, knowledge.as_of or today, age) or _assumed(age)


def _average(parts: Mapping[str, Freshness], weights: Mapping[str, int], age: float | None) -> Freshness:
    total = sum(weights.values()) or 1
    share = {n: weights[n] / total for n in parts}

    def mean(name: str) -> float:
        return sum(share[n] * float(getattr(found, name)) for n, found in parts.items())

    source = max((found.source for found in parts.values()), key=_SOURCES.index)
    told = "; ".join(f"{n} ({share[n]:.0%}): {parts[n].source}, {_rate(parts[n].changed_per_day)}" for n in parts)
    origins = {found.origin for found in parts.values()}
    origin: Origin = "assumed" if "assumed" in origins else "measured" if "measured" in origins else "declared"
    why = f"the mean of the parts by their size, as sure as the least sure of them: {told}"
    return Freshness(source, origin, why, mean("changed_per_day"), mean("low"), mean("high"), age_days=age)


def _rate(value: float) -> str:
    return format_rate(value, item="%", digits=2)


def _age(documents: Sequence[Document], as_of: dt.date | None, today: dt.date) -> float | None:
    dates = [d.date for d in documents if d.date is not None]
    if documents and len(dates) * 2 >= len(documents):
        return round(sum(max(0, (today - d).days) for d in dates) / len(dates), 1)
    return None if as_of is None else float(max(0, (today - as_of).days))


# --- the sources, most certain first


def _declared(changes: Changes, age: float | None) -> Freshness:
    rate = changes.per_day
    why = f"declared as {changes.text}, taken as certain"
    return Freshness("declared", "declared", why, rate, rate, rate, age_days=age)


def _from_snapshots(knowledge: Knowledge, corpus: Corpus, today: dt.date) -> _Evidence | None:
    if not knowledge.snapshots:
        return None
    newest = max((d.date for d in corpus.documents if d.date is not None), default=None)
    last = max(s.as_of for s in knowledge.snapshots)
    dates = (knowledge.as_of, newest if newest is not None and newest > last else None, today)
    as_of = next(d for d in dates if d is not None)
    known: dict[str, frozenset[str]] = {}
    current = state_of(corpus.documents, as_of, known)
    states = []
    for snapshot in sorted(knowledge.snapshots, key=lambda s: s.as_of):
        documents = _snapshot(snapshot, knowledge.corpus)
        states.append(state_of(documents, snapshot.as_of, known, lambda d: _place_then(d, current, knowledge.corpus)))
    states.append(current)
    for before, after in itertools.pairwise(states):
        if after.as_of <= before.as_of:
            if after is not current:
                raise DataError(f"two snapshots have the date {after.as_of}", "give every snapshot its own date")
            raise DataError(
                f"a snapshot is of {before.as_of}, and the documents themselves of {after.as_of}",
                "snapshots are older states: correct its date, or set knowledge.as_of to a later one",
            )
    why = f"{len(states)} dated states from {states[0].as_of} to {as_of}"
    if knowledge.as_of is None:
        why += f" (the corpus's own date, {as_of}, is {'its newest document' if as_of == newest else 'today'})"
    return _Evidence("snapshots", why, compare(states))


def _snapshot(snapshot: Snapshot, parts: Sequence[CorpusPart]) -> tuple[Document, ...]:
    """The documents of a snapshot: by part where it holds each part under the name of its folder."""
    within = [part.model_copy(update={"path": snapshot.path / part.path.name}) for part in parts]
    if len(parts) > 1 and any(part.path.exists() for part in within):
        names = part_names(parts)
        named = [p.model_copy(update={"part": n}) for n, p in zip(names, within, strict=True) if p.path.exists()]
        return read_corpus(named).documents
    return read_corpus([CorpusPart(path=snapshot.path)]).documents


def _place_then(document: Document, current: State, parts: Sequence[CorpusPart]) -> Place:
    """Where a document of a snapshot lay: where it lies now, else by the folders of the snapshot."""
    now = current.places.get(undated_id(document.id)) or current.places.get(document.id)
    if now is not None:
        return now
    folder, slash, _ = document.path.partition("/")
    names = part_names(parts)
    return names[0] if len(parts) == 1 else document.part if document.part in names else "", folder if slash else ""


def _from_git(parts: Mapping[str, CorpusPart], corpus: Corpus, today: dt.date) -> _Evidence | None:
    """What git tells of those parts that it knows."""
    rows: list[Row] = []
    dates: list[dt.date] = []
    for name, part in parts.items():
        past = states_in_git(part.path, today)
        if past is None:
            continue
        current = [d for d in corpus.documents if len(parts) == 1 or d.part == name]
        known: dict[str, frozenset[str]] = {}
        states = [state_of((replace(d, part=name) for d in documents), date, known) for date, documents in past]
        # Within git a document is named by its path; a part of its own may have put the part's name before it.
        states.append(
            state_of((replace(d, id=d.id.removeprefix(f"{name}/"), part=name) for d in current), today, known)
        )
        rows += compare(states, f"{name}/")
        dates += [date for date, _ in past]
    if not rows:
        return None
    return _Evidence("git", f"git history from {min(dates)} to {today}, {len(dates)} states", rows)


def _measured(evidence: _Evidence, age: float | None) -> Freshness:
    rates, counted = fit(evidence.rows), intervals(evidence.rows)
    documents = len({row.document for row in evidence.rows})
    pieces, changed = sum(i.both for i in counted), sum(i.changed for i in counted)
    why = (
        f"{evidence.why}: {changed} of {pieces} pieces in {documents} documents changed; "
        f"95 % interval {_rate(rates.low)} to {_rate(rates.high)}"
    )
    return Freshness(
        evidence.source, "measured", why, rates.changed, rates.low, rates.high, rates.added, rates.removed, age, counted
    )


def _folders(evidence: _Evidence) -> dict[str, Freshness]:
    """The folders of one part, where the 95 % intervals of two of them lie apart; else nothing."""
    rows: dict[str, list[Row]] = {}
    for row in evidence.rows:
        rows.setdefault(row.place[1], []).append(row)
    rows = {n: r for n, r in rows.items() if n and any(row.days * (row.pieces - row.removed) > 0 for row in r)}
    if not 1 < len(rows) <= _MOST_FOLDERS:
        return {}
    found = {name: _measured(evidence._replace(rows=rows[name]), None) for name in sorted(rows)}
    apart = max(f.low for f in found.values()) > min(f.high for f in found.values())
    return found if apart else {}


def _from_dates(documents: Sequence[Document], as_of: dt.date, age: float | None) -> Freshness | None:
    """From the ages of documents: with a steady hazard, times since the last change are exponential."""
    dates = [d.date for d in documents if d.date is not None and d.date <= as_of]
    if len(dates) < _LEAST_DATED or len(dates) * 2 < len(documents):
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


# --- facts


def freshness_facts(found: Freshness) -> dict[str, Fact]:
    """The facts ``freshness.*`` of a profile."""
    facts = {"source": Fact(found.source, "", found.origin, found.why), **_rates(found)}
    for name, value in (("added_per_day", found.added_per_day), ("removed_per_day", found.removed_per_day)):
        if value is not None:
            facts[name] = Fact(_short(value), "1/day", found.origin, found.why)
    if found.age_days is not None:
        facts["age_days"] = Fact(found.age_days, "day", "measured", "mean age of the documents by their dates")
    if found.intervals:
        told = "; ".join(f"{i.before} to {i.after}: {i.share:.1%} of {i.both}" for i in found.intervals)
        why = f"pieces present at both dates that changed, by {found.source}"
        facts["intervals"] = Fact(told, "", found.origin, why)
    return {f"freshness.{name}": value for name, value in facts.items()}


def part_rates(found: Survey) -> dict[str, Fact]:
    """The rates ``part.NAME.*`` of several parts, and ``part.NAME/FOLDER.*`` of folders that are clearly apart."""
    named = dict(found.parts) if len(found.parts) > 1 else {}
    named |= {"/".join(place): fresh for place, fresh in found.folders.items()}
    return {f"part.{safe_name(n)}.{key}": fact for n, fresh in named.items() for key, fact in _rates(fresh).items()}


def _rates(found: Freshness) -> dict[str, Fact]:
    values = {
        "changed_per_day": (found.changed_per_day, "1/day"),
        "changed_low": (found.low, "1/day"),
        "changed_high": (found.high, "1/day"),
        "half_life_days": (found.half_life_days, "day"),
    }
    why = f"{found.source}: {found.why}"
    return {name: Fact(_short(value), unit, found.origin, why) for name, (value, unit) in values.items()}


def _short(value: float) -> float:
    return float(f"{value:.6g}")
