"""The page of a sweep: every combination, what each technique does, regret, predictions, and what sharing saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kistack.domain.records import Measurement
from kistack.evaluation.scoring import LOWER_IS_BETTER
from kistack.evaluation.statistics import PairedResult
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.effects import plotted, scaled
from kistack.reporting.numbers import DASH, metric_text, percent, shown, significant
from kistack.sweeping.attribution import Effect, attribution
from kistack.sweeping.foretelling import Foretelling, foretellings, summary
from kistack.sweeping.regret import Against, Regret, regret
from kistack.sweeping.rows import Combination, Row, Sweep
from kistack.sweeping.summary import baselines, sharing, sweep_document

__all__ = ["effect_text", "sweep_document", "sweep_line", "sweep_page"]

_WORDS = {
    "quality": "points",
    "latency_seconds": "latency",
    "serving_peak_bytes": "memory",
    "bytes": "size",
    "seconds": "time to build",
}
_NUMBERS = tuple(_WORDS)
_NOUNS = {"retrieve": "retrieval", "distill": "distillation", "tune": "tuning", "quantize": "quantization"}
#: A factor nearer to 1 than this is told as no change.
_SAME = 0.005
_UNITS = {
    "latency_seconds": "s",
    "tokens_per_second": "1/s",
    "serving_peak_bytes": "B",
    "bytes": "B",
    "seconds": "s",
    "evaluation_seconds": "s",
    "peak_bytes": "B",
}


def sweep_page(sweep: Sweep, *, plots: bool = False) -> Page:
    """A sweep as it stands; ``plots`` of the effects at its end, for what can draw them."""
    effects, caveats = attribution(sweep)
    left = [c.name for c in sweep.combinations if c.name not in sweep.rows or sweep.rows[c.name].status == "cut"]
    page: list[Block] = [
        Heading(f"Sweep {sweep.sweep}", 1),
        Paragraph(
            f"{len(sweep.done())} of {len(sweep.combinations)} combinations measured by {sweep.metric}, "
            f"{shown(sweep.spent, 's')} spent. Order: {sweep.rule}."
        ),
        _table(sweep),
    ]
    if left:
        why = "the budget ended before" if sweep.status == "budget" else "not measured yet"
        page.append(Paragraph(f"{why}: {', '.join(left)}. The same command goes on (with a larger --budget)."))
    page += _effects(effects, caveats)
    page += _regret(sweep)
    page += _predictions(sweep)
    page += [Heading("What sharing saved"), Paragraph(_sharing(sharing(sweep)))]
    if sweep.notes:
        page += [Heading("Notes"), Bullets(sweep.notes)]
    if plots and effects:
        page += plotted(effects, caveats, sweep.metric)
    return page


def sweep_line(sweep: Sweep) -> str:
    """A sweep in a line: how much of it is measured, and how far the advice was from the best."""
    told = f"Sweep {sweep.sweep}: {len(sweep.done())} of {len(sweep.combinations)} combinations measured."
    found = regret(sweep)
    if found.points is None:
        return f"{told} Regret is not known: {found.why}." if found.why else told
    return f"{told} Regret of the advised plan ({found.advised}): {_points(found.points)} points."


# --- the table


def _table(sweep: Sweep) -> Table:
    sign = 1 if sweep.metric in LOWER_IS_BETTER else -1
    rows: list[tuple[float, tuple[str, ...]]] = []
    for name, found in baselines(sweep).items():
        m = Measurement(**found)
        if name != "baseline":  # which is the combination of no technique
            rows.append((sign * m.value, (f"({name} prompt)", "baseline", metric_text(sweep.metric, m), *[DASH] * 5)))
    for one in sweep.combinations:
        row = sweep.rows.get(one.name)
        value = row.metrics[sweep.metric].value if row is not None and row.done else None
        rows.append((float("inf") if value is None else sign * value, _cells(one, row, sweep)))
    columns = ("combination", "status", sweep.metric, "latency", "memory", "size", "to build", "run")
    ordered = tuple(cells for _, cells in sorted(rows, key=lambda r: r[0]))
    return Table(columns, ordered, frozenset(range(2, 7)), "95 % intervals in brackets; to build: as if built alone")


def _cells(one: Combination, row: Row | None, sweep: Sweep) -> tuple[str, ...]:
    name = f"{one.name} (advised)" if "advised" in one.roles else one.name
    if row is None:
        return (name, "waiting", *[DASH] * 6)
    if not row.done:
        return (name, f"{row.status}: {row.error}", *[DASH] * 5, row.run or DASH)
    told = [
        shown(row.measured[n], _UNITS[n]) if n in row.measured else DASH
        for n in ("latency_seconds", "serving_peak_bytes", "bytes", "seconds")
    ]
    return (name, row.status, metric_text(sweep.metric, row.metrics[sweep.metric]), *told, row.run)


# --- effects


def _effects(found: Sequence[Effect], caveats: Sequence[str]) -> list[Block]:
    if not found:
        return []
    groups = list(dict.fromkeys(e.techniques for e in found))
    by = {(e.techniques, e.number): e for e in found}
    rows = []
    for group in groups:
        cells = [effect_cell(by[group, n]) if (group, n) in by else DASH for n in _NUMBERS]
        seen = next(by[group, n] for n in _NUMBERS if (group, n) in by)
        rows.append((" x ".join(group), *cells, f"{seen.contexts}/{seen.possible}"))
    lines = [effect_text(group[0], by) for group in groups if len(group) == 1]
    return [
        Heading("What each technique does"),
        Bullets(tuple(line for line in lines if line)),
        Table(
            ("effect", *_WORDS.values(), "contexts"),
            tuple(rows),
            frozenset(range(1, 7)),
            "a x b: by how much the effect of a is larger where b is present; half-widths are those of 95 % intervals, "
            "each for itself; numbers without one were measured once",
        ),
        *([Bullets(tuple(caveats))] if caveats else []),
    ]


def effect_cell(effect: Effect) -> str:
    """An effect as a cell of the table: a difference or a factor, with its half-width where it has an interval."""
    text = scaled(effect.scale, effect.value)
    if effect.low is None or effect.high is None or effect.scale == "seconds":
        return text
    if effect.scale == "ratio":
        return f"{text} [{effect.low:.2f}, {effect.high:.2f}]"
    return f"{text} ± {(effect.high - effect.low) / 2:.1f}"


def effect_text(technique: str, effects: Mapping[tuple[tuple[str, ...], str], Effect]) -> str:
    """One technique in a line: "distillation -1.2 ± 0.9 points, saves 41 % latency, costs 3 min to build"."""
    own = {n: effects[(technique,), n] for n in _NUMBERS if ((technique,), n) in effects}
    told = []
    if (quality := own.get("quality")) is not None:
        said = "" if quality.shown is not False else " (no difference shown)"
        told.append(f"{effect_cell(quality)} points{said}")
    for number in ("latency_seconds", "serving_peak_bytes", "bytes"):
        if number in own:
            told += _factor(own[number])
    if (built := own.get("seconds")) is not None and abs(built.value) >= 1:
        told.append(f"{'costs' if built.value > 0 else 'saves'} {shown(abs(built.value), 's')} to build")
    return f"{_NOUNS.get(technique, technique)} {', '.join(told)}" if told else ""


def _factor(effect: Effect) -> list[str]:
    """A factor as what it saves or costs, in percent."""
    change = effect.value - 1
    if abs(change) < _SAME:
        return []
    said = " (no difference shown)" if effect.shown is False else ""
    return [f"{'costs' if change > 0 else 'saves'} {abs(100 * change):.0f} % {_WORDS[effect.number]}{said}"]


# --- regret


def _regret(sweep: Sweep) -> list[Block]:
    found = regret(sweep)
    page: list[Block] = [Heading("Regret")]
    if found.points is None:
        return [*page, Paragraph(f"Not known: {found.why}.")] if found.why else []
    page.append(Paragraph(_regret_text(found)))
    rows = [_against(a) for a in (found.best, *found.habits) if a is not None]
    columns = ("advised against", "plan", "points", "latency", "memory", "size", "to build")
    page.append(Table(columns, tuple(rows), frozenset(range(2, 7)), "points: advised minus other; costs: advised over"))
    beaten = [h.name for h in found.habits if h.beats]
    page.append(Paragraph(f"A habit does better than the advice: {', '.join(beaten)}." if beaten else
                          "No fixed habit is shown to do better than the advice."))  # fmt: skip
    if found.infeasible:
        page.append(Bullets(tuple(f"not feasible: {name} ({why})" for name, why in found.infeasible.items())))
    return page


def _regret_text(found: Regret) -> str:
    assert found.points is not None
    chosen = " and ".join(dict.fromkeys(found.chosen))
    return (
        f"The advised plan ({found.advised}) is {_points(found.points)} points behind the best feasible one, chosen on "
        f"one half of the {found.points.count} questions and scored on the other, both ways round ({chosen})."
    )


def _points(result: PairedResult) -> str:
    return f"{result.mean:+.1f} [{result.low:+.1f}, {result.high:+.1f}]"


def _against(one: Against) -> tuple[str, ...]:
    if one.points is None:
        return (one.name, f"{one.plan}: {one.why}".strip(": "), *[DASH] * 5)
    costs = [f"x{one.costs[n]:.2f}" if n in one.costs else DASH for n in _NUMBERS[1:]]
    if one.latency_ci is not None:
        costs[0] += f" [{one.latency_ci[0]:.2f}, {one.latency_ci[1]:.2f}]"
    return (one.name, one.plan, _points(one.points) + ("" if one.points.shown else " (not shown)"), *costs)


# --- predictions


def _predictions(sweep: Sweep) -> list[Block]:
    found = foretellings(sweep)
    if not found:
        return []
    rows = tuple(
        (
            number,
            str(told["count"]),
            _off(number, float(told["median_off"] or 0.0)),
            DASH if told["inside"] is None else percent(float(told["inside"])),
        )
        for number, told in summary(found).items()
    )
    by = {(f.name, f.number): f for f in found}
    names = dict.fromkeys(f.name for f in found)
    detail = tuple((name, *(_both(by.get((name, n)), n) for n in _NUMBERS)) for name in names)
    return [
        Heading("Predicted and measured"),
        Table(("number", "combinations", "off by (median)", "in the 80 % interval"), rows, frozenset({1, 2, 3})),
        Table(("combination", *_WORDS.values()), detail, frozenset(range(1, 6)), "predicted > measured"),
    ]


def _both(one: Foretelling | None, number: str) -> str:
    return DASH if one is None else f"{_number(number, one.predicted)} > {_number(number, one.measured)}"


def _number(number: str, value: float) -> str:
    return f"{value:.1f}" if number == "quality" else shown(value, _UNITS.get(number, ""))


def _off(number: str, value: float) -> str:
    return f"{value:+.1f}" if number == "quality" else f"{value:.2f}x"


def _sharing(found: Mapping[str, Any]) -> str:
    if not found["seconds_apart"]:
        return "Nothing was measured."
    text = (
        f"{found['distinct_steps']} distinct steps stand for {found['asked_for']}: {shown(found['seconds'], 's')} of "
        f"work instead of {shown(found['seconds_apart'], 's')}, {significant(100 * found['share'])} % of it."
    )
    twice = len(found["repeated"])
    return text + (f" {twice} steps were made more than once." if twice else " Each was made once.")
