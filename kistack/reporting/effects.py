"""What each technique adds, from the document that a sweep writes (``sweep_document``, ``kistack sweep --json``).

Read are its ``metric`` and ``attribution.effects``: per number and set of techniques a value on a scale (``points`` and
``seconds`` are differences, ``ratio`` is a factor) with a 95 % interval, or none where the number was measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kistack.errors import InputError
from kistack.reporting.blocks import Block, Bullets, Figure, Heading, Table
from kistack.reporting.numbers import DASH, shown
from kistack.reporting.plots.ranges import Range, rows_of_ranges
from kistack.sweeping.attribution import Effect
from kistack.sweeping.rows import SWEEP_SCHEMA

_WORDS = {
    "quality": "quality",
    "latency_seconds": "latency",
    "serving_peak_bytes": "memory while serving",
    "bytes": "size",
    "seconds": "time to build",
}
_REMEDY = "give the document that kistack sweep --json writes"
_SAID = {True: "yes", False: "no difference shown", None: "measured once"}


def effects_blocks(sweep: Mapping[str, Any]) -> list[Block]:
    """A part of a page: for each number that the sweep measured one plot with its table.

    Raises:
        InputError: the mapping is not of that form.
    """
    found = effects_of(sweep)
    notes = [str(n) for n in sweep["attribution"].get("notes") or ()]
    return plotted(found, notes, str(sweep.get("metric", "")))


def plotted(effects: Sequence[Effect], notes: Sequence[str], metric: str) -> list[Block]:
    """The same part from effects that are known already; numbers stand in the order in which effects name them."""
    page: list[Block] = [Heading("What each technique adds", anchor="effects")]
    numbers = dict.fromkeys(e.number for e in effects)
    page += [_figure(number, [e for e in effects if e.number == number], metric) for number in numbers]
    return [*page, Bullets(tuple(notes))] if notes else page


def effects_of(sweep: Mapping[str, Any]) -> list[Effect]:
    """The effects in a sweep's document.

    Raises:
        InputError: the document is not of the form this module reads.
    """
    if sweep.get("schema") != SWEEP_SCHEMA:
        raise InputError(f"the sweep has schema {sweep.get('schema')!r}, {SWEEP_SCHEMA} is known", _REMEDY)
    told = sweep.get("attribution")
    effects = told.get("effects") if isinstance(told, Mapping) else None
    if not isinstance(effects, list):
        raise InputError("the sweep has no attribution with effects", _REMEDY)
    if not effects:
        raise InputError(
            "the sweep tells no effects yet", "measure combinations that differ in one technique: kistack sweep"
        )
    found = []
    for place, effect in enumerate(effects):
        try:
            found.append(Effect.from_json(effect))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"effect {place + 1} of the sweep cannot be read: {error!s}", _REMEDY) from error
    return found


def _figure(number: str, effects: list[Effect], metric: str) -> Figure:
    word = _WORDS.get(number, number)
    of = f" ({metric})" if number == "quality" and metric else ""
    scale, neutral = effects[0].scale, effects[0].neutral
    label = {"ratio": f"{word}, times what it is without", "seconds": f"change of {word}"}.get(
        scale, f"points of {word}"
    )
    better = "more is better" if number == "quality" else "less is better"
    title = f"Effects on {word}{of}"
    ranges = [(_name(e), [_range(e)]) for e in effects]
    svg = rows_of_ranges(title, f"{label}; {better}", ranges, [], lambda v: scaled(scale, v), at=neutral)
    rows = tuple((_name(e), scaled(scale, e.value), _interval(e), _SAID[e.shown]) for e in effects)
    table = Table(("techniques", "change", "95 % interval", "shown"), rows, frozenset({1, 2}))
    return Figure(title, svg, table, folded=False)


def _name(effect: Effect) -> str:
    return " x ".join(effect.techniques)


def scaled(scale: str, value: float) -> str:
    """A value on its scale: a factor, a difference in seconds, or points."""
    if scale == "ratio":
        return f"x{value:.2f}"
    if scale == "seconds":
        return f"{'-' if value < 0 else '+'}{shown(abs(value), 's')}"
    return f"{value:+.1f}"


def _interval(effect: Effect) -> str:
    if effect.low is None or effect.high is None:
        return DASH
    return f"{scaled(effect.scale, effect.low)} to {scaled(effect.scale, effect.high)}"


def _range(effect: Effect) -> Range:
    low = effect.value if effect.low is None else effect.low
    high = effect.value if effect.high is None else effect.high
    tip = f"{_name(effect)}: {scaled(effect.scale, effect.value)} [{_interval(effect)}]"
    # Interactions are hollow, main effects filled.
    hollow = len(effect.techniques) > 1
    return Range(effect.value, low, high, 2 if hollow else 1, tip, hollow=hollow)
