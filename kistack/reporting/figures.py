"""The plots of a run's report, each with the table of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from kistack.domain.advice import Candidate
from kistack.domain.records import Measurement, RunRecord, SystemScore
from kistack.execution.events import Event, RunStarted, StepDone, StepFailure, StepReused, StepStarted
from kistack.reporting.blocks import Block, Figure, Heading, Table
from kistack.reporting.evidence import Evidence
from kistack.reporting.numbers import is_share, metric_text, shown, significant
from kistack.reporting.plots.curves import Curve, curves
from kistack.reporting.plots.ranges import Range, log_scale, rows_of_ranges, share_scale
from kistack.reporting.plots.timelines import Bar, timeline
from kistack.reporting.plots.tradeoffs import Spot, pareto, tradeoff
from kistack.reporting.predictions import Foretold, of_plan, of_steps, predictions_table
from kistack.reporting.runs import metrics_of, systems_table

#: A cost: the metric that measures it, the estimate that predicts it, its unit, and what the axis says.
_COSTS = (
    ("latency_p50", "latency_seconds", "s", "Quality against latency", "seconds an answer (median)"),
    ("peak_bytes", "serving_peak_bytes", "B", "Quality against memory", "memory while answering (peak)"),
)
#: What of a step is predicted and measured, in words.
_KINDS = {"seconds": "time", "peak_bytes": "memory", "bytes": "size"}


def quality_figures(evidence: Evidence) -> list[Block]:
    """Quality against latency and against memory: what was measured, and what the advice expects of every candidate."""
    record = evidence.kept.record
    if not is_share(evidence.metric):
        return []
    page: list[Block] = []
    for metric, cost, unit, title, label in _COSTS:
        measured = [
            _measured(name, system, (metric, evidence.metric), _before(record, name, cost))
            for name, system in record.systems.items()
            if metric in system.metrics and evidence.metric in system.metrics and system.metrics[metric].value > 0
        ]
        kept = evidence.advice.kept if evidence.advice is not None else ()
        predicted = _candidates(kept, cost)
        if not measured:
            continue
        told = partial(shown, unit=unit)
        svg = tradeoff(title, label, measured, predicted, told)
        caption = f"Points: {evidence.metric}, measured right after building, with 95 % intervals."
        if predicted:
            caption += (
                " Predicted: what the advice expects now, over the horizon, of the combinations within the limits."
            )
        page.append(Figure(title, svg, _spots(measured, predicted, told), caption))
    if page:
        page.insert(0, Heading("Quality and what it costs", anchor="quality"))
    return page


def _before(record: RunRecord, name: str, cost: str) -> tuple[float, float] | None:
    """Cost and points that were told of the plan before it ran."""
    told = record.predicted
    return (told[cost], told["quality"]) if name == "plan" and told.get(cost) and "quality" in told else None


def _measured(name: str, system: SystemScore, metrics: tuple[str, str], before: tuple[float, float] | None) -> Spot:
    spent, points = (system.metrics[m] for m in metrics)
    ends = (100 * points.low, 100 * points.high)
    return Spot(name, spent.value, 100 * points.value, (spent.low, spent.high), ends, f"#system-{name}", before)


def _candidates(kept: tuple[Candidate, ...], cost: str) -> list[Spot]:
    """The front of the candidates, and of the others the best of each combination."""
    spots = [
        Spot(_named(c, kept), c.estimate.cost(cost), c.quality, c.estimate.interval(cost), (c.low, c.high))
        for c in kept
        if c.estimate.cost(cost) > 0
    ]
    front = pareto(spots)
    first: dict[str, Spot] = {}
    for candidate, spot in zip((c for c in kept if c.estimate.cost(cost) > 0), spots, strict=True):
        first.setdefault(candidate.name, spot)
    return [*front, *(s for s in first.values() if s not in front)]


def _named(candidate: Candidate, kept: tuple[Candidate, ...]) -> str:
    """Its techniques, with the settings that tell it from others of the same."""
    same = [c for c in kept if c.name == candidate.name]
    told = {f"{s.kind} {n}={v}": None for s in candidate.plan.steps for n, v in s.with_.items()}
    common = set.intersection(*({f"{s.kind} {n}={v}" for s in c.plan.steps for n, v in s.with_.items()} for c in same))
    apart = [t for t in told if t not in common]
    return f"{candidate.name} ({', '.join(apart)})" if apart else candidate.name


def _spots(measured: list[Spot], predicted: list[Spot], told: Callable[[float], str]) -> Table:
    rows, links = [], {}
    front = pareto(predicted)
    for number, spot in enumerate([*measured, *predicted]):
        kind = "measured" if spot in measured else "predicted, on the front" if spot in front else "predicted"
        ends = f"{spot.points_ends[0]:.0f} to {spot.points_ends[1]:.0f}"
        rows.append((spot.name, kind, f"{spot.points:.1f}", ends, told(spot.cost)))
        if spot.link:
            links.update({(number, column): spot.link for column in (2, 3, 4)})
    columns = ("system", "how known", "points", "interval", "cost")
    return Table(columns, tuple(rows), frozenset({2, 3, 4}), "intervals: 95 % measured, 80 % predicted", links)


def metric_figures(systems: Mapping[str, SystemScore]) -> list[Block]:
    """Every metric of every system with its interval: shares as a plot, all of them in its table."""
    shares = [m for m in metrics_of(systems.values()) if is_share(m)]
    table = systems_table(systems, linked=True)
    page: list[Block] = [Heading("Measured on held-out questions", anchor="metrics")]
    if not shares:
        return [*page, table]
    rows = [
        (m, [_range(n, name, m, s.metrics[m]) for n, (name, s) in enumerate(systems.items(), 1) if m in s.metrics])
        for m in shares
    ]
    names = [(name, n, False) for n, name in enumerate(systems, 1)]
    title = "Metrics with their 95 % intervals"
    svg = rows_of_ranges(title, "share of the questions", rows, names, _whole, scale=share_scale)
    return [*page, Figure(title, svg, table, folded=False)]


def _whole(share: float) -> str:
    return f"{100 * share:.0f} %"


def _range(series: int, name: str, metric: str, m: Measurement) -> Range:
    return Range(m.value, m.low, m.high, series, f"{name}, {metric}: {metric_text(metric, m)}", f"#system-{name}")


def prediction_figures(record: RunRecord) -> list[Block]:
    """Predicted against measured: every number of the plan and of its steps."""
    systems = [n for n in record.systems if n.startswith("plan")]
    found = [*of_plan(record), *of_steps(record.steps)]
    drawn = [f for f in found if f.predicted > 0 and f.measured > 0]
    page: list[Block] = [Heading("Predicted and measured", anchor="predictions")]
    if not drawn:
        return []
    rows = [(f.name, [_factor(f)]) for f in drawn if f.of is None]
    for number, step in enumerate(record.steps):
        if some := [_factor(f) for f in drawn if f.of == number]:
            rows.append((f"{number + 1}. {step.use}", some))
    names = [("the plan", 1, False), *((f"steps: {k}", n, False) for n, k in enumerate(_KINDS.values(), 2))]
    title = "Measured as a multiple of what was predicted"
    svg = rows_of_ranges(title, "measured/predicted", rows, names, lambda v: f"{v:g}x", scale=log_scale, at=1)
    table = predictions_table([f for f in found if f.of is None], f"#system-{systems[0]}" if systems else "")
    caption = "1x: as predicted. What each step was predicted to take, and took, stands in the table of steps."
    return [*page, Figure(title, svg, table, caption, folded=False)]


def _factor(f: Foretold) -> Range:
    value = f.measured / f.predicted
    link = f"#step-{f.of}" if f.of is not None else ""
    series = 1 if f.of is None else 2 + list(_KINDS).index(f.name.rpartition(": ")[2])
    tip = f"{f.name}: {shown(f.predicted, f.unit)} predicted, {shown(f.measured, f.unit)} measured"
    return Range(value, min(1.0, value), max(1.0, value), series, tip, link)


def loss_figures(evidence: Evidence) -> list[Block]:
    """How the loss of each training fell, from the events of the run that trained."""
    found: list[Curve] = []
    for step in evidence.kept.record.steps:
        events = evidence.kept.progress_of(step.key) if step.measured else ()
        for name in sorted({n for e in events for n in e.numbers if n.startswith("loss")}):
            points = [
                (e.done / e.total, e.numbers[name]) for e in events if e.total and e.numbers.get(name) is not None
            ]
            label = step.use if name == "loss" else f"{step.use}, {name}"
            found += [Curve(label, points)] if len(points) > 1 else []
    if not found:
        return []
    title = "Losses of the trainings"
    svg = curves(title, ("of the training", "loss"), found, (_whole, significant), floor=0.0)
    rows = tuple(
        (
            c.name,
            str(len(c.points)),
            *(significant(v) for v in (c.points[0][1], min(p[1] for p in c.points), c.points[-1][1])),
        )
        for c in found
    )
    table = Table(("training", "points", "first", "lowest", "last"), rows, frozenset(range(1, 5)))
    return [Heading("How training went", anchor="losses"), Figure(title, svg, table)]


def timeline_figures(evidence: Evidence, steps: Table) -> list[Block]:
    """What ran when, with the table of steps."""
    page: list[Block] = [Heading("Steps", anchor="steps")]
    bars = _bars(evidence.kept.events)
    if not bars:
        return [*page, steps]
    title = "What ran when"
    told = partial(shown, unit="s")
    caption = "Blue: building; orange: evaluating; outlined: made before and reused."
    return [*page, Figure(title, timeline(title, bars, told), steps, caption, folded=False)]


def _bars(events: Sequence[Event]) -> list[Bar]:
    """One bar a step, from its last start to its end."""
    began = last = 0.0
    started: dict[str, StepStarted] = {}
    bars: dict[str, Bar] = {}
    for event in events:
        last = event.time
        match event:
            case RunStarted():
                began = began or event.time
            case StepStarted():
                started[event.key] = event
                bars.pop(event.key, None)
            case StepReused():
                bars[event.key] = Bar(event.use, event.time - began, event.time - began, "reused")
            case StepDone() | StepFailure() if event.key in started:
                start = started.pop(event.key)
                kind = "failed" if isinstance(event, StepFailure) else start.purpose
                kind = "step" if kind not in {"failed", "evaluation"} else kind
                bars[event.key] = Bar(event.use, start.time - began, event.time - began, kind)
    for key, start in started.items():
        bars[key] = Bar(start.use, start.time - began, last - began, "failed")
    return list(bars.values())
