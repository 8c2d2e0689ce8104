"""What each technique adds, from a sweep over combinations.

What is read is a mapping (a JSON document)::

    {"schema": 1,
     "metric": "contained",
     "numbers": {"points": {"unit": "points", "lower_is_better": false},
                 "latency_p50": {"unit": "%", "lower_is_better": true}, …},
     "effects": [{"techniques": ["retrieve"], "number": "points", "value": 41.0, "low": 36.5, "high": 45.2}, …]}

``value`` is how much the number changes where the techniques are present against where they are not, over the
combinations that differ in nothing else; one technique is a main effect, several are their interaction. ``low`` and
``high`` are its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kistack.errors import InputError
from kistack.reporting.blocks import Block, Figure, Heading, Table
from kistack.reporting.plots.ranges import Range, rows_of_ranges

EFFECTS_SCHEMA = 1
_FIELDS = ("techniques", "number", "value", "low", "high")


def effects_blocks(sweep: Mapping[str, Any]) -> list[Block]:
    """A part of a page: one plot with its table for each number that the sweep measured.

    Raises:
        InputError: the mapping is not of that form.
    """
    numbers = checked(sweep)
    page: list[Block] = [Heading("What each technique adds", anchor="effects")]
    for number, about in numbers.items():
        rows = [e for e in sweep["effects"] if e["number"] == number]
        unit = str(about.get("unit", ""))
        better = "less is better" if about.get("lower_is_better") else "more is better"
        told = _told(unit)
        ranges = [(_name(e), [_range(e, told)]) for e in rows]
        title = f"Effects on {number}" + (f" ({sweep['metric']})" if number == "points" and "metric" in sweep else "")
        svg = rows_of_ranges(title, f"change in {unit or number}; {better}", ranges, [], told, at=0.0)
        table = Table(
            ("techniques", "change", "95 % interval", "shown"),
            tuple((_name(e), told(e["value"]), f"{told(e['low'])} to {told(e['high'])}", _shown(e)) for e in rows),
            frozenset({1, 2}),
        )
        page.append(Figure(title, svg, table, folded=False))
    return page


def checked(sweep: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The numbers of a sweep's document.

    Raises:
        InputError: the document is not of the form this module describes.
    """
    remedy = "give the document that a sweep writes"
    if sweep.get("schema") != EFFECTS_SCHEMA:
        raise InputError(f"the sweep has schema {sweep.get('schema')!r}, {EFFECTS_SCHEMA} is known", remedy)
    numbers, effects = sweep.get("numbers"), sweep.get("effects")
    if not isinstance(numbers, Mapping) or not isinstance(effects, list) or not effects:
        raise InputError("the sweep has no numbers or no effects", remedy)
    for place, effect in enumerate(effects):
        missing = [f for f in _FIELDS if not isinstance(effect, Mapping) or f not in effect]
        if missing:
            raise InputError(f"effect {place + 1} of the sweep lacks {', '.join(missing)}", remedy)
        if effect["number"] not in numbers:
            raise InputError(f"effect {place + 1} of the sweep is on {effect['number']!r}, which is no number", remedy)
        if not all(isinstance(effect[f], int | float) for f in _FIELDS[2:]):
            raise InputError(f"effect {place + 1} of the sweep has an end that is no number", remedy)
    return numbers


def _name(effect: Mapping[str, Any]) -> str:
    return " x ".join(effect["techniques"])


def _told(unit: str) -> Callable[[float], str]:
    return lambda value: f"{value:+.3g} {unit}".rstrip()


def _range(effect: Mapping[str, Any], told: Callable[[float], str]) -> Range:
    tip = f"{_name(effect)}: {told(effect['value'])} [{told(effect['low'])}, {told(effect['high'])}]"
    # Interactions are hollow, main effects filled.
    hollow = len(effect["techniques"]) > 1
    return Range(effect["value"], effect["low"], effect["high"], 2 if hollow else 1, tip, hollow=hollow)


def _shown(effect: Mapping[str, Any]) -> str:
    return "yes" if effect["low"] > 0 or effect["high"] < 0 else "no difference shown"
