"""The order of a sweep: what tells most per second comes first, and what is made already costs nothing.

The combination without any technique is first, for all others are held against it; the advised one is second, for the
sweep is asked about it. From then on the next is always the one with the largest expected information about the effects
of the techniques per second of what it does not share with those before it: the sequential Bayesian D-optimal rule
(Chaloner and Verdinelli, "Bayesian Experimental Design: A Review", Statistical Science 10, 1995) over the linear model
with all interactions, whose effects are believed the smaller the more techniques they involve.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations as subsets

import numpy as np

from kistack.plugins.stages import TECHNIQUES
from kistack.sweeping.rows import Combination

RULE = (
    "nothing first, the advised plan second, then by expected information about the techniques' effects per second of "
    "what no earlier combination makes"
)
#: Standard deviation, in points, of what an effect of so many techniques is before anything is measured, and of one
#: measured mean of about a hundred answers that are right or wrong. Assumed.
_PRIOR = {0: 50.0, 1: 10.0, 2: 5.0, 3: 2.5, 4: 1.25}
_NOISE = 5.0
#: No combination is cheaper than starting its workers, seconds.
_LEAST_SECONDS = 1.0

_TERMS = tuple(term for n in range(len(TECHNIQUES) + 1) for term in subsets(TECHNIQUES, n))


def in_order(combinations: Sequence[Combination]) -> list[Combination]:
    """The combinations in the order they are to be run; those that cannot be composed come last."""
    waiting = [c for c in combinations if not c.problem]
    covariance = np.diag([_PRIOR[len(term)] ** 2 for term in _TERMS])
    made: set[str] = set()
    ordered: list[Combination] = []
    while waiting:
        chosen = _leading(waiting, ordered) or max(waiting, key=lambda c: _worth(c, covariance, made))
        waiting.remove(chosen)
        ordered.append(chosen)
        made.update(chosen.seconds)
        seen = covariance @ _terms(chosen)
        covariance = covariance - np.outer(seen, seen) / (_NOISE**2 + float(_terms(chosen) @ seen))
    return ordered + [c for c in combinations if c.problem]


def _leading(waiting: Sequence[Combination], ordered: Sequence[Combination]) -> Combination | None:
    """The first two have their place whatever they cost."""
    if not ordered and (bare := next((c for c in waiting if not c.techniques), None)) is not None:
        return bare
    return next((c for c in waiting if "advised" in c.roles), None)


def _worth(combination: Combination, covariance: np.ndarray, made: set[str]) -> float:
    """Expected information (nats) per second of what is still to be made."""
    x = _terms(combination)
    gain = 0.5 * float(np.log1p(x @ covariance @ x / _NOISE**2))
    return gain / remaining(combination, made)


def remaining(combination: Combination, made: set[str]) -> float:
    """Expected seconds of the nodes that are not made yet."""
    return max(_LEAST_SECONDS, sum(s for key, s in combination.seconds.items() if key not in made))


def _terms(combination: Combination) -> np.ndarray:
    """The row (16,) of the design: 1 where all techniques of a term are in the combination, else 0."""
    present = set(combination.techniques)
    return np.array([float(present.issuperset(term)) for term in _TERMS])
