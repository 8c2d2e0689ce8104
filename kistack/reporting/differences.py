"""The pages of two runs compared, and of a run that was run again."""

from __future__ import annotations

from collections.abc import Sequence

from kistack.bundle.differences import Change, NumberChange, RunDifference
from kistack.bundle.reproducing import Check, Reproduction
from kistack.reporting.blocks import Block, Bullets, Code, Heading, Page, Paragraph, Side, SideBySide, Table
from kistack.reporting.numbers import DASH, metric_text, percent
from kistack.reporting.runs import difference_text

#: Items shown on a page; the JSON document has all.
_SHOWN = 12
_LONGEST = 300
_RIGHT = 0.5


def difference_page(found: RunDifference) -> Page:
    """What differs from the first run to the second: plan, versions, facts, steps, numbers, items."""
    page: list[Block] = [Heading(f"From run {found.first} to {found.second}", 1), Heading("Plan")]
    page.append(Code("\n".join(found.plan), "diff") if found.plan else Paragraph("The same plan."))
    for heading, changes, none in (
        ("Machine and versions", found.versions, "The same machine and versions."),
        ("Facts", found.facts, "" if any("facts" in n for n in found.notes) else "The same facts."),
        ("Steps", found.steps, "The same steps, with the same bytes."),
    ):
        if changes:
            page += [Heading(heading), _changes(changes, found)]
        elif none:
            page += [Heading(heading), Paragraph(none)]
    if found.numbers:
        page += [Heading("Numbers"), _numbers(found)]
    page += _items(found)
    if found.notes:
        page += [Heading("Not compared"), Bullets(found.notes)]
    return page


def _changes(changes: Sequence[Change], found: RunDifference) -> Table:
    rows = tuple((c.name, _cut(c.before) or DASH, _cut(c.after) or DASH) for c in changes)
    return Table(("what", found.first, found.second), rows)


def _numbers(found: RunDifference) -> Table:
    rows = tuple(
        (
            n.system,
            n.metric,
            *(DASH if m is None else metric_text(n.metric, m) for m in (n.before, n.after)),
            _paired(n),
        )
        for n in found.numbers
    )
    columns = ("system", "metric", found.first, found.second, "difference on the same items")
    return Table(columns, rows, frozenset({2, 3}), "95 % intervals in brackets")


def _paired(number: NumberChange) -> str:
    if number.paired is None:
        return DASH
    if number.paired.ties == number.paired.count:
        return f"equal on all {number.paired.count}"
    return difference_text(number.metric, number.paired)


def _items(found: RunDifference) -> list[Block]:
    if not found.items:
        return []
    page: list[Block] = [Heading(f"Items answered in other words: {len(found.items)}")]
    # What gained or lost comes before what was only worded otherwise.
    moved = sorted(found.items, key=lambda i: all(a == b for a, b in i.scores.values()))
    for item in moved[:_SHOWN]:
        metric = next(iter(item.scores), "")
        scores = item.scores.get(metric, (None, None))
        sides = tuple(
            Side(run, _cut(text), None if score is None else score >= _RIGHT)
            for run, text, score in zip((found.first, found.second), (item.before, item.after), scores, strict=True)
        )
        page.append(SideBySide(f"{item.system}: {item.question}", item.expected, sides))
    if len(found.items) > _SHOWN:
        page.append(Paragraph(f"{len(found.items) - _SHOWN} more: --json tells all."))
    return page


def reproduction_page(found: Reproduction) -> Page:
    """Whether a run came out again, and everything that did not."""
    differ = [c for c in found.checks if not c.equal]
    beyond = [c for c in differ if not c.within]
    tolerance = f"tolerance {percent(found.tolerance)}"
    verdict = (
        f"{len(beyond)} of {len(found.checks)} comparisons differ beyond it"
        if beyond
        else f"all {len(found.checks)} comparisons are equal"
        if not differ
        else f"{len(differ)} of {len(found.checks)} comparisons differ, all within it"
    )
    page: list[Block] = [
        Heading(f"Run {found.origin} again, as {found.run}", 1),
        Paragraph(f"{'Not reproduced' if beyond else 'Reproduced'} ({tolerance}): {verdict}."),
        Table(("compared", "number", "equal", "beyond tolerance"), _counts(found.checks), frozenset({1, 2, 3})),
    ]
    if differ:
        rows = tuple((c.kind, c.name, c.before, c.after, "yes" if c.within else "no") for c in differ)
        page += [Heading("What differs"), Table(("kind", "what", "then", "now", "within"), rows, frozenset({2, 3}))]
    if found.versions:
        versions = tuple((c.name, c.before or DASH, c.after or DASH) for c in found.versions)
        page += [Heading("Machine and versions that differ"), Table(("what", "then", "now"), versions)]
    if found.timings:
        timings = tuple((c.name, c.before, c.after) for c in found.timings)
        caption = "times and memory depend on the moment, and are not held against a run"
        page += [Heading("Times and memory"), Table(("number", "then", "now"), timings, frozenset({1, 2}), caption)]
    if found.notes:
        page += [Heading("Notes"), Bullets(found.notes)]
    return page


def _counts(checks: Sequence[Check]) -> tuple[tuple[str, ...], ...]:
    kinds = {"answers": "answers of systems", "score": "scores", "size": "sizes", "digest": "digests"}
    rows = []
    for kind, name in kinds.items():
        some = [c for c in checks if c.kind == kind]
        rows.append((name, *map(str, (len(some), sum(c.equal for c in some), sum(not c.within for c in some)))))
    return tuple(rows)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
