"""Attribution: what each technique does, and what they do to each other, from the combinations that were measured.

The effect of one technique is the mean, over every set of the others that was measured both with and without it, of
the difference it makes. The interaction of several is that difference of differences: of two, by how much the effect of
one is larger where the other is present. In a full factorial these are the classical effects (Yates, "The Design and
Analysis of Factorial Experiments", 1937); where cells are missing only whole contexts count, so nothing is assumed
about interactions that were not seen. Intervals resample items, the same ones in all cells: what makes a question hard
for all of them cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations as subsets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kistack.evaluation.statistics import paired_difference
from kistack.plugins.stages import TECHNIQUES
from kistack.sweeping.rows import Row, Sweep

Floats = NDArray[np.float64]
Cells = Mapping[frozenset[str], Floats]


@dataclass(frozen=True, slots=True)
class Effect:
    """What ``techniques`` (one: an effect; several: their interaction) do to one number.

    ``scale``: ``points`` and ``seconds`` are differences, ``ratio`` is a factor (0.59 saves 41 %). ``low`` and ``high``
    are the 95 % interval over items; None where the number was measured once and has none. ``contexts`` of ``possible``
    sets of the other techniques were measured with and without.
    """

    number: str
    techniques: tuple[str, ...]
    scale: str
    value: float
    low: float | None
    high: float | None
    contexts: int
    possible: int

    @property
    def neutral(self) -> float:
        """The value of no effect."""
        return 1.0 if self.scale == "ratio" else 0.0

    @property
    def shown(self) -> bool | None:
        """Whether the interval excludes no effect at all; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > self.neutral or self.high < self.neutral

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Effect:
        """What ``to_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        low, high = (None, None) if document["ci95"] is None else (float(v) for v in document["ci95"])
        return cls(
            number=str(document["number"]),
            techniques=tuple(str(t) for t in document["techniques"]),
            scale=str(document["scale"]),
            value=float(document["value"]),
            low=low,
            high=high,
            contexts=int(document["contexts"]),
            possible=int(document["possible"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Every field, and ``shown``."""
        return {
            "number": self.number,
            "techniques": list(self.techniques),
            "scale": self.scale,
            "value": self.value,
            "ci95": None if self.low is None else [self.low, self.high],
            "contexts": self.contexts,
            "possible": self.possible,
            "shown": self.shown,
        }


#: Numbers of a plan whose effect is a factor; what building takes starts at nothing, so there it is a difference.
_RATIOS = ("latency_seconds", "serving_peak_bytes", "bytes")


def attribution(sweep: Sweep) -> tuple[list[Effect], list[str]]:
    """Effects on quality, latency, memory, size and time to build, and what a reader must know of them."""
    cells = _cells(sweep)
    found: list[Effect] = []
    found += effects("quality", _items(cells, sweep.metric, lambda v: 100 * v), "points")
    timed = _items(cells, "latency_seconds", np.log)
    for number in _RATIOS:
        if number == "latency_seconds" and timed:
            found += effects(number, timed, "ratio")
        else:
            found += effects(number, _singles(cells, number, math.log), "ratio")
    found += effects("seconds", _singles(cells, "seconds", float), "seconds")
    return found, _caveats(sweep, cells)


def effects(number: str, cells: Cells, scale: str) -> list[Effect]:
    """All effects and interactions that the cells bear out, single techniques first.

    Args:
        number: what is explained.
        cells: per set of techniques the number per item (n,), the same items everywhere, in logarithms where ``scale``
            is ``ratio``; one number where it was measured once.
        scale: ``points``, ``ratio`` or ``seconds``.
    """
    present = [t for t in TECHNIQUES if any(t in cell for cell in cells)]
    found = []
    for size in range(1, len(present) + 1):
        for group in subsets(present, size):
            others = [t for t in present if t not in group]
            possible = [frozenset(s) for n in range(len(others) + 1) for s in subsets(others, n)]
            seen = [c for c in (_contrast(cells, group, context) for context in possible) if c is not None]
            if seen:
                mean = np.mean(seen, axis=0)
                found.append(_effect(number, group, scale, mean, (len(seen), len(possible))))
    return found


def _contrast(cells: Cells, group: Sequence[str], context: frozenset[str]) -> Floats | None:
    """The difference (of differences) that ``group`` makes in one context, per item; None where a cell is missing."""
    total: Floats | None = None
    for part in (p for n in range(len(group) + 1) for p in subsets(group, n)):
        cell = cells.get(context | set(part))
        if cell is None:
            return None
        signed = cell if (len(group) - len(part)) % 2 == 0 else -cell
        total = signed if total is None else total + signed
    return total


def _effect(number: str, group: tuple[str, ...], scale: str, items: Floats, seen: tuple[int, int]) -> Effect:
    back: Callable[[float], float] = math.exp if scale == "ratio" else float
    if items.size == 1:
        return Effect(number, group, scale, back(float(items[0])), None, None, *seen)
    result = paired_difference(items, np.zeros_like(items))
    return Effect(number, group, scale, back(result.mean), back(result.low), back(result.high), *seen)


def _cells(sweep: Sweep) -> dict[frozenset[str], Row]:
    """The measured row of every set of techniques, from the combinations that stand for theirs."""
    done = sweep.done()
    return {
        frozenset(c.techniques): done[c.name] for c in sweep.combinations if "factorial" in c.roles and c.name in done
    }


def _items(cells: Mapping[frozenset[str], Row], name: str, scaled: Callable[[Floats], Floats]) -> Cells:
    """A number per item in every cell that has as many as most have."""
    values = {cell: np.array(row.items[name], dtype=np.float64) for cell, row in cells.items() if row.items.get(name)}
    if name == "latency_seconds":
        values = {cell: v for cell, v in values.items() if bool((v > 0).all())}
    counts = [v.size for v in values.values()]
    usual = max(set(counts), key=counts.count, default=0)
    return {cell: scaled(v) for cell, v in values.items() if v.size == usual}


def _singles(cells: Mapping[frozenset[str], Row], name: str, scaled: Callable[[float], float]) -> Cells:
    return {
        cell: np.array([scaled(row.measured[name])])
        for cell, row in cells.items()
        if row.measured.get(name, 0.0) > 0 or (name == "seconds" and name in row.measured)
    }


def _caveats(sweep: Sweep, cells: Mapping[frozenset[str], Row]) -> list[str]:
    """What would otherwise mislead: cells that are missing, and techniques that are not the same thing everywhere."""
    notes = []
    wanted = [c for c in sweep.combinations if "factorial" in c.roles]
    missing = [c.name for c in wanted if frozenset(c.techniques) not in cells]
    if missing:
        notes.append(f"effects rest on {len(cells)} of {len(wanted)} combinations; without: {', '.join(missing)}")
    for kind, ways in _settings(sweep, cells):
        notes.append(
            f"{kind} stands for {ways} different settings in different combinations, so its effect mixes what it does "
            "with how it was set (kistack sweep --settings same keeps them equal)"
        )
    return notes


def _settings(sweep: Sweep, cells: Mapping[frozenset[str], Row]) -> Iterator[tuple[str, int]]:
    for kind in TECHNIQUES:
        found = {
            repr([s for s in c.plan.get("steps", ()) if str(s["use"]).startswith(f"{kind}/")])
            for c in sweep.combinations
            if "factorial" in c.roles and kind in c.techniques and frozenset(c.techniques) in cells
        }
        if len(found) > 1:
            yield kind, len(found)
