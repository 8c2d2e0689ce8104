"""Two runs held against each other: plan, facts, versions, numbers with paired intervals, items that changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kistack.bundle.archive import KeptRun, Row
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan
from kistack.domain.planfile import dump_plan
from kistack.domain.records import Measurement
from kistack.evaluation.scoring import LOWER_IS_BETTER
from kistack.evaluation.statistics import PairedResult, paired_difference

DIFFERENCE_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Change:
    """Something that has another value in the second run; empty where it is absent."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class NumberChange:
    """A metric of one system in both runs; ``paired`` is second minus first on the same items, where they are known."""

    system: str
    metric: str
    before: Measurement | None
    after: Measurement | None
    paired: PairedResult | None = None


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that a system answered in other words; ``scores`` are its numbers before and after by metric."""

    system: str
    item: str
    question: str
    expected: str
    before: str
    after: str
    scores: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class RunDifference:
    """How the second run differs from the first.

    ``plan`` are the lines of a unified diff. ``notes`` say what could not be compared, and why.
    """

    first: str
    second: str
    plan: tuple[str, ...]
    facts: tuple[Change, ...]
    versions: tuple[Change, ...]
    steps: tuple[Change, ...]
    numbers: tuple[NumberChange, ...]
    items: tuple[ItemChange, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable names."""
        return {"schema": DIFFERENCE_SCHEMA, **asdict(self)}


def compare_runs(first: KeptRun, second: KeptRun) -> RunDifference:
    """What differs from the first run to the second."""
    one, two = first.record, second.record
    systems = [n for n in one.systems if n in two.systems]
    notes = [
        f"only {(one if missing in one.systems else two).run} has a system {missing!r}"
        for missing in sorted(set(one.systems) ^ set(two.systems))
    ]
    numbers: list[NumberChange] = []
    items: list[ItemChange] = []
    for name in systems:
        rows = _paired_rows(first, second, name)
        if rows is None:
            notes.append(f"{name}: the answers of a run are no longer in the store, so nothing is paired")
        elif not rows:
            notes.append(f"{name}: the runs answered no item in common, so nothing is paired")
        numbers += _numbers(first, second, name, rows or [])
        items += _items(first, second, name, rows or [])
    return RunDifference(
        one.run,
        two.run,
        tuple(_plan_lines(first, second)),
        tuple(_fact_changes(first.profile, second.profile, notes)),
        tuple(changes(one.environment, two.environment)),
        tuple(_step_changes(first, second)),
        tuple(numbers),
        tuple(items),
        tuple(notes),
    )


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[Change]:
    """Names whose values differ, in order."""
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Change(name, _text(before.get(name)), _text(after.get(name)))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def plan_text(kept: KeptRun) -> str:
    """The plan of a run as YAML."""
    return dump_plan(Plan.model_validate(dict(kept.record.plan)))


def _plan_lines(first: KeptRun, second: KeptRun) -> Iterator[str]:
    one, two = (plan_text(kept).splitlines() for kept in (first, second))
    yield from difflib.unified_diff(one, two, first.record.run, second.record.run, lineterm="", n=99)


def _fact_changes(one: Profile | None, two: Profile | None, notes: list[str]) -> Iterator[Change]:
    if one is None or two is None:
        notes.append("a run did not keep its facts (an older kistack ran it), so facts are not compared")
        return
    told = ({n: _fact(p, n) for n in p} for p in (one, two))
    yield from changes(*told)


def _fact(profile: Profile, name: str) -> str:
    fact = profile[name]
    return f"{_text(fact.value)} {fact.unit}".strip() + f" ({fact.source})"


def _step_changes(first: KeptRun, second: KeptRun) -> Iterator[Change]:
    """Steps that were asked for otherwise (another key), or left other bytes."""
    for name, (before, after) in matched_steps(first, second).items():
        told = [
            "" if s is None else f"key {s.key[:12]}, {', '.join(f'{o} {d[:12]}' for o, d in s.outputs.items())}"
            for s in (before, after)
        ]
        if told[0] != told[1]:
            yield Change(name, *told)


def matched_steps(first: KeptRun, second: KeptRun) -> dict[str, tuple[Any, Any]]:
    """The steps of both by stage and by which of that stage's they are: ``{"tune/lora": (before, after)}``."""
    found: dict[str, list[Any]] = {}
    for side, kept in enumerate((first, second)):
        seen: dict[str, int] = {}
        for step in kept.record.steps:
            seen[step.use] = seen.get(step.use, 0) + 1
            name = step.use if seen[step.use] == 1 else f"{step.use} ({seen[step.use]})"
            found.setdefault(name, [None, None])[side] = step
    return {name: (one, two) for name, (one, two) in found.items()}


def item_key(row: Row) -> str:
    """What names an item across systems and runs: its id, else its question."""
    return str(row.get("id") or row.get("question", ""))


def _paired_rows(first: KeptRun, second: KeptRun, system: str) -> list[tuple[int, int, Row, Row]] | None:
    """Items that both answered: their places and rows. None where the answers of either are gone."""
    one, two = first.answers(system), second.answers(system)
    if one is None or two is None:
        return None
    places = {item_key(row): n for n, row in enumerate(two)}
    pairs = [(n, places.get(item_key(row), -1), row) for n, row in enumerate(one)]
    return [(a, b, row, two[b]) for a, b, row in pairs if b >= 0]


def _numbers(
    first: KeptRun, second: KeptRun, system: str, rows: Sequence[tuple[int, int, Row, Row]]
) -> Iterator[NumberChange]:
    one, two = first.record.systems[system], second.record.systems[system]
    for metric in dict.fromkeys([*one.metrics, *two.metrics]):
        before, after = one.items.get(metric, ()), two.items.get(metric, ())
        paired = None
        if rows and all(a < len(before) and b < len(after) for a, b, _, _ in rows):
            paired = paired_difference(
                [after[b] for _, b, _, _ in rows],
                [before[a] for a, _, _, _ in rows],
                lower_is_better=metric in LOWER_IS_BETTER,
            )
        yield NumberChange(system, metric, one.metrics.get(metric), two.metrics.get(metric), paired)


def _items(
    first: KeptRun, second: KeptRun, system: str, rows: Sequence[tuple[int, int, Row, Row]]
) -> Iterator[ItemChange]:
    one, two = first.record.systems[system].items, second.record.systems[system].items
    shared = [m for m in one if m in two]
    for a, b, before, after in rows:
        if before.get("text") != after.get("text"):
            scores = {m: (one[m][a], two[m][b]) for m in shared if a < len(one[m]) and b < len(two[m])}
            expected = str((before.get("answers") or [""])[0])
            texts = str(before.get("text", "")), str(after.get("text", ""))
            yield ItemChange(system, item_key(before), str(before.get("question", "")), expected, *texts, scores)
