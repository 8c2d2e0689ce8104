"""The page of a recommendation: what to run, why, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kistack.domain.advice import Candidate, Recommendation
from kistack.domain.records import Estimate
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import shown, with_range
from kistack.reporting.sensitivity import (
    alternative_blocks,
    flip_blocks,
    inverse_blocks,
    said_elsewhere,
    sureness,
    what_if_blocks,
)

ADVICE_SCHEMA = 1
_SHOWN = 8
#: Parts of the context that stand at the top of the document.
_LIFTED = ("flips", "alternatives", "what_if", "what_must_change")


def advice_page(advice: Recommendation, *, every: bool = False) -> Page:
    """The recommendation; ``every`` shows all candidates instead of the first of each kind."""
    page: list[Block] = [Heading("Recommendation", 1), *what_if_blocks(advice)]
    kept, usual = advice.kept, _usual(advice.candidates)
    if not kept:
        page.append(Paragraph("No combination keeps the limits."))
        page += [*alternative_blocks(advice), *flip_blocks(advice), *inverse_blocks(advice)]
    else:
        best = kept[0]
        page.append(Paragraph(f"Run {_label(best, usual)}: {_quality(best)} expected, {_costs(best)}."))
        if taken := [step.use for step in best.plan.steps if step.kind in usual]:
            page.append(Paragraph(f"Where several stages do a technique, it takes {', '.join(taken)}."))
        page += [Heading("Why"), Bullets(tuple(_reasons(best)))]
        if len(kept) > 1:
            page += [Heading("Runner-up"), Paragraph(_runner_up(best, _rival(kept), usual))]
            page += [Paragraph(text) for text in (sureness(advice),) if text]
        page += [*alternative_blocks(advice), *flip_blocks(advice), *inverse_blocks(advice)]
        page += [Heading("Candidates"), _candidates(kept if every else _distinct(kept, usual)[:_SHOWN], usual)]
    if advice.rejected:
        # A combination that is kept with other settings is not a rejected one to a reader.
        names = {_label(c, usual) for c in kept}
        others = (c for c in _distinct(advice.rejected, usual) if _label(c, usual) not in names)
        rejected = advice.rejected if every else tuple(others)
        rows = tuple(
            (_label(c, usual), r.limit, r.needs, r.allowed, r.admits)
            for c in rejected
            for r in c.rejections[: 9 if every else 1]
        )
        page += [Heading("Rejected"), Table(("candidate", "limit", "needs", "has", "would be admitted by"), rows)]
    told = said_elsewhere(advice)
    if notes := tuple(n for n in advice.notes if n not in told):
        page += [Heading("Notes"), Bullets(notes)]
    return page


def _usual(candidates: tuple[Candidate, ...]) -> dict[str, str]:
    """The stage that the first candidate takes for each technique that several stages do."""
    uses: dict[str, list[str]] = {}
    for step in (step for c in candidates for step in c.plan.steps):
        known = uses.setdefault(step.kind, [])
        if step.use not in known:
            known.append(step.use)
    return {kind: known[0] for kind, known in uses.items() if len(known) > 1}


def _label(c: Candidate, usual: Mapping[str, str]) -> str:
    """The techniques of a candidate, each with its stage where it is another than the first candidate's."""
    stages = {step.kind: step.use for step in c.plan.steps}
    others = {kind for kind, use in usual.items() if stages.get(kind, use) != use}
    named = [f"{t} ({stages[t].partition('/')[2]})" if t in others else t for t in c.plan.techniques]
    return "+".join(named) or c.name


def _distinct(candidates: tuple[Candidate, ...], usual: Mapping[str, str]) -> tuple[Candidate, ...]:
    """The first candidate of each set of techniques, done by the same stages."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(_label(candidate, usual), candidate)
    return tuple(first.values())


def _rival(kept: tuple[Candidate, ...]) -> Candidate:
    return next((c for c in kept[1:] if c.name != kept[0].name), kept[1])


def _quality(c: Candidate) -> str:
    return f"{c.quality:.0f} points [{c.low:.0f}, {c.high:.0f}]"


def _costs(c: Candidate) -> str:
    e = c.estimate
    return (
        f"{_cost(e, 'seconds', 's')} to build, {shown(e.cost('bytes'), 'B')} to ship, "
        f"{_cost(e, 'serving_peak_bytes', 'B')} of memory and {_cost(e, 'latency_seconds', 's')} an answer"
    )


def _cost(e: Estimate, name: str, unit: str) -> str:
    return with_range(e.cost(name), e.interval(name), unit)


def _reasons(c: Candidate) -> list[str]:
    lines = []
    for reason in c.reasons:
        points = f" ({told} points)" if (told := _signed(reason.points)) else ""
        sources = f" — {'; '.join(reason.sources)}" if reason.sources else ""
        lines.append(f"{reason.because}{points}{sources}")
    return lines


def _signed(points: float) -> str:
    """Points with their sign, to a place after the point where they would be none without it; empty where still so."""
    for places in (0, 1):
        told = f"{points:+.{places}f}"
        if float(told):
            return told
    return ""


def _against(points: float) -> str:
    """What the best gains in quality against another."""
    if abs(points) < 0.5:  # noqa: PLR2004 - less than a point is shown as
        return "is as good"
    return f"gains {points:+.0f} points" if points > 0 else f"loses {-points:.0f} points"


def _runner_up(best: Candidate, second: Candidate, usual: Mapping[str, str]) -> str:
    gap = best.quality - second.quality
    e, f = best.estimate, second.estimate
    one, two = _label(best, usual), _label(second, usual)
    given = f"{two}: {_quality(second)}, {_costs(second)}. Against it {one} {_against(gap)}"
    changes = []
    for name, unit, what in (
        ("seconds", "s", "to build"),
        ("latency_seconds", "s", "an answer"),
        ("serving_peak_bytes", "B", "memory"),
    ):
        difference = e.cost(name) - f.cost(name)
        if abs(difference) > 0.01 * max(e.cost(name), f.cost(name), 1e-9):
            changes.append(f"{shown(abs(difference), unit)} {'more' if difference > 0 else 'less'} {what}")
    return given + (f" and takes {', '.join(changes)}." if changes else ".")


def _candidates(candidates: tuple[Candidate, ...], usual: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            _label(c, usual),
            f"{c.quality:.0f}",
            f"{c.low:.0f} to {c.high:.0f}",
            shown(c.estimate.cost("serving_peak_bytes"), "B"),
            shown(c.estimate.cost("latency_seconds"), "s"),
            shown(c.estimate.cost("bytes"), "B"),
            shown(c.estimate.cost("seconds"), "s"),
        )
        for c in candidates
    )
    columns = ("candidate", "points", "80 % interval", "memory", "an answer", "bundle", "to build")
    return Table(columns, rows, frozenset({1, 3, 4, 5, 6}))


def advice_document(advice: Recommendation) -> dict[str, Any]:
    """The recommendation as a JSON document with stable names."""
    return {
        "schema": ADVICE_SCHEMA,
        "profile": advice.profile,
        "best": _document(advice.best) if advice.kept else None,
        "candidates": [_document(c) for c in advice.candidates],
        "front": list(advice.front),
        "notes": list(advice.notes),
        "context": {n: v for n, v in advice.context.items() if n not in _LIFTED},
        **{name: advice.context[name] for name in _LIFTED if name in advice.context},
    }


def _document(c: Candidate) -> dict[str, Any]:
    return {
        "name": c.name,
        "kept": c.kept,
        "plan": c.plan.to_dict(),
        "quality": {"points": c.quality, "low": c.low, "high": c.high},
        "costs": dict(c.estimate.costs),
        "raw": dict(c.estimate.raw),
        "intervals": {name: list(ends) for name, ends in c.estimate.intervals.items()},
        "reasons": [
            {
                "rule": r.rule,
                "strength": r.strength,
                "because": r.because,
                "sources": list(r.sources),
                "points": r.points,
            }
            for r in c.reasons
        ],
        "rejections": [
            {"limit": r.limit, "needs": r.needs, "allowed": r.allowed, "admits": r.admits} for r in c.rejections
        ],
    }
