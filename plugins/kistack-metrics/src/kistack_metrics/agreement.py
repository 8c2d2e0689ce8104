"""How far verdicts agree with labels beyond chance."""

from __future__ import annotations

import math

import numpy as np

from kistack.evaluation.statistics import Floats


def cells(verdict: float, label: float) -> tuple[float, float, float, float]:
    """One pair as counts: both yes, yes against no, no against yes, both no.

    A verdict that is NaN counts as the one that disagrees.
    """
    said = label < 1 if math.isnan(verdict) else verdict >= 1
    wanted = label >= 1
    return (
        float(said and wanted),
        float(said and not wanted),
        float(wanted and not said),
        float(not said and not wanted),
    )


def kappa(sums: Floats) -> Floats:
    """Cohen's kappa (r,), -1 to 1, from summed ``cells`` (r, 4); NaN where chance agrees always.

    Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 20 (1960).
    """
    yes, over, under, no = sums.T
    count = sums.sum(axis=1)
    agreed = (yes + no) / count
    chance = ((yes + over) * (yes + under) + (no + over) * (no + under)) / count**2
    found: Floats = np.where(chance < 1, (agreed - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)
    return found
