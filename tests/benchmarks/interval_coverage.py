"""How often intervals of paired differences hold the truth: ``python tests/benchmarks/interval_coverage.py``.

Right-or-wrong items of two systems, of which a known share is won and a known share lost. The interval of two paired
proportions, as ``paired_difference`` gives it, beside the bootstrap (BCa) of the same differences.
"""

from __future__ import annotations

import numpy as np

from kistack.evaluation.statistics import bootstrap_interval, paired_difference

SHARES = ((0.11, 0.03), (0.05, 0.02), (0.3, 0.25), (0.45, 0.01), (0.02, 0.02))
ITEMS = (20, 40, 80, 150, 300)
SAMPLES = 1000


def main() -> None:
    """Print one line for each number of items and pair of shares."""
    generator = np.random.default_rng(1)
    print("items  won   lost  bootstrap covers (width)  proportions cover (width)")
    for items in ITEMS:
        for won, lost in SHARES:
            held, width = np.zeros(2), np.zeros(2)
            for sample in range(SAMPLES):
                difference = generator.choice([1.0, -1.0, 0.0], items, p=[won, lost, 1 - won - lost])
                same = bool(np.all(difference == difference[0]))
                old = (difference[0],) * 2 if same else bootstrap_interval(difference, resamples=600, seed=sample)
                new = paired_difference(np.maximum(difference, 0), np.maximum(-difference, 0))
                bounds = np.array([old, (new.low, new.high)])
                held += (bounds[:, 0] <= won - lost) & (won - lost <= bounds[:, 1])
                width += bounds[:, 1] - bounds[:, 0]
            old_part, new_part = (f"{h / SAMPLES:.3f} ({w / SAMPLES:.3f})" for h, w in zip(held, width, strict=True))
            print(f"{items:5}  {won:.2f}  {lost:.2f}  {old_part:24}  {new_part}")


if __name__ == "__main__":
    main()
