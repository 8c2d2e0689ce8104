"""How firm a recommendation is: what would change it, what was changed, and what else may serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kistack.advisor.levers import TOPICS
from kistack.domain.advice import Recommendation
from kistack.reporting.blocks import Block, Bullets, Heading, Paragraph, Table
from kistack.reporting.numbers import shown

#: Flip points on the page; all are in the document.
_NEAREST = 5
_ROUGH = ", judged by the leading candidates only (--all makes sure)"
_MOVES = (("points", "", "points"), ("seconds", "s", "to build"), ("latency_seconds", "s", "an answer"),
          ("serving_peak_bytes", "B", "memory"), ("bytes", "B", "bundle"))  # fmt: skip


def what_if_blocks(advice: Recommendation) -> list[Block]:
    """What was changed for a what-if, and how the choice moved."""
    found = advice.context.get("what_if")
    if not found:
        return []
    rows = tuple((c["key"], c["before"], c["after"]) for c in found["changes"])
    return [
        Heading("What if"),
        Table(("changed", "before", "after"), rows, caption="Nothing was written."),
        Paragraph(_moved(found["before"], found["after"])),
    ]


def _moved(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None or after is None:
        names = [c["name"] if c else "no combination" for c in (before, after)]
        return f"Recommended before: {names[0]}. Now: {names[1]}."
    start = (
        f"{after['name']} stays recommended"
        if before["name"] == after["name"]
        else f"{before['name']} was recommended, now it is {after['name']}"
    )
    moves = []
    for name, unit, what in _MOVES:
        one, two = (shown(c[name], unit) for c in (before, after))
        if one != two:
            moves.append(f"{what} {one} → {two}")
    return f"{start}: {', '.join(moves)}." if moves else f"{start}, at the same cost and quality."


def sureness(advice: Recommendation) -> str:
    """How sure the choice is, in a sentence; empty where there is no runner-up."""
    other = advice.context.get("runner_up")
    if not other:
        return ""
    found, margin = other["difference"], advice.context.get("indifference", 0.0)
    spread = f"{found['points']:+.1f} points, {found['low']:+.1f} to {found['high']:+.1f} at 80 %"
    best, name = advice.best.name, other["name"]
    if found["tied"]:
        return f"{best} and {name} are tied in quality ({spread}; {margin:g} do not matter here): costs decide."
    sure = f"{100 * found['confidence']:.0f} %"
    return f"{best} is not worse than {name} by more than {margin:g} points with a probability of {sure} ({spread})."


def flip_blocks(advice: Recommendation) -> list[Block]:
    """The nearest flip points."""
    context = advice.context
    if "flips" not in context:
        return []
    found = [f["sentence"] + ("" if f["confirmed"] else _ROUGH) for f in context["flips"][:_NEAREST]]
    blocks: list[Block] = [Heading("What would change it")]
    if found:
        blocks.append(Bullets(tuple(found)))
    else:
        blocks.append(Paragraph("No single fact or limit does, within the ranges that were looked through."))
    if context.get("not_searched"):
        skipped = ", ".join(dict.fromkeys(TOPICS.get(fact, fact) for fact in context["not_searched"]))
        blocks.append(Paragraph(f"To answer at once, not every other value was tried of: {skipped} (--all does)."))
    return blocks


def inverse_blocks(advice: Recommendation) -> list[Block]:
    """What must change for the techniques that were asked about."""
    found = advice.context.get("what_must_change")
    if not found:
        return []
    told = Bullets(tuple(found["sentences"]))
    return [Heading(f"What must change for {found['for']}"), Paragraph(f"Asked for: {found['means']}."), told]


def alternative_blocks(advice: Recommendation) -> list[Block]:
    """What may serve better than any of the techniques."""
    found = advice.context.get("alternatives", ())
    lines = []
    for other in found:
        sources = f" — {'; '.join(other['sources'])}" if other["sources"] else ""
        lines.append(f"{other['because']}. Instead: {other['instead']}{sources}")
    return [Heading("Is it any of these?"), Bullets(tuple(lines))] if lines else []


def said_elsewhere(advice: Recommendation) -> frozenset[str]:
    """Notes that the page tells under their own heading."""
    return frozenset(other["because"] for other in advice.context.get("alternatives", ()))
