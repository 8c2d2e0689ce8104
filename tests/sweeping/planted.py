"""Sweeps whose rows are made up, so that what is to be found in them is known."""

from itertools import combinations as subsets

import numpy as np

from kistack.domain.records import Measurement
from kistack.plugins.stages import TECHNIQUES
from kistack.sweeping.rows import Combination, Row, Sweep, set_name

SETS = [frozenset(s) for n in range(5) for s in subsets(TECHNIQUES, n)]


def plan(cell):
    return {"schema": 1, "seed": 0, "steps": [{"use": f"{t}/toy"} for t in TECHNIQUES if t in cell]}


def planted(cells, *, advised="nothing", limits=None, costs=None, rejections=None, predicted=None):
    """A sweep from points per item by set of techniques; ``costs`` by name."""
    combinations, rows = [], {}
    for cell, items in cells.items():
        name = set_name(tuple(cell))
        roles = ("factorial", "advised") if name == advised else ("factorial",)
        combinations.append(
            Combination(
                name, plan(cell), roles, (predicted or {}).get(name, {}), {}, tuple((rejections or {}).get(name, ()))
            )
        )
        value = float(np.mean(items))
        rows[name] = Row(
            name,
            "done",
            metrics={"contained": Measurement(value, value, value)},
            items={"contained": tuple(items)},
            measured={"quality": 100 * value, **(costs or {}).get(name, {})},
        )
    return Sweep("s", "2026-01-01T00:00:00Z", "contained", tuple(combinations), rows, limits=limits or {})
