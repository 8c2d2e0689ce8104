import json
import math
import random

import pytest

from kistack.advisor.bench.calibration import LEAST_RUNS, bench_calibration
from kistack.domain.calibration import PRIORS, Observed


def ledger(runs, noise=0.15, factors=None, seed=1):
    """Runs of a few stages, each wrong by a factor of its own, repeated with noise."""
    draw = random.Random(seed)
    factors = factors or {"tune/x": 2.0, "merge/y": 0.5, "quantize/z": 1.2}
    return [
        Observed(f"r{n}", "seconds", stage, "m", 10.0, 10.0 * factor * math.exp(draw.gauss(0, noise)))
        for n in range(runs)
        for stage, factor in factors.items()
    ]


def kind(bench, name):
    return next(c for c in bench.kinds if c.kind == name)


def test_an_empty_ledger_says_so():
    bench = bench_calibration([])
    assert bench.runs == 0
    assert [c.kind for c in bench.kinds] == list(PRIORS)
    assert all(c.covered is None and not c.enough for c in bench.kinds)
    json.dumps(bench.to_json(), allow_nan=False)


def test_runs_are_predicted_from_the_others_only():
    # One run alone has no others: it is met by the prior, and its own number cannot help it.
    bench = kind(bench_calibration(ledger(1, noise=0)), "seconds")
    assert bench.raw == bench.calibrated == pytest.approx(math.log(2.0))
    assert (bench.runs, bench.observations, bench.enough) == (1, 3, False)


def test_calibration_helps_and_intervals_hold_what_they_state():
    covered = []
    for seed in range(5):
        bench = kind(bench_calibration(ledger(12, seed=seed)), "seconds")
        assert bench.enough
        assert bench.calibrated < 0.2 < bench.raw
        covered.append(bench.covered)
    assert 0.7 < sum(covered) / len(covered) < 0.95


def test_intervals_hold_noise_that_is_larger_than_the_prior_says():
    covered = [kind(bench_calibration(ledger(12, noise=0.4, seed=s)), "seconds").covered for s in range(5)]
    assert 0.65 < sum(covered) / len(covered) < 0.95


def test_the_document_has_stable_names():
    document = bench_calibration(ledger(LEAST_RUNS)).to_json()
    assert set(document) == {"schema", "runs", "stated", "least_runs", "kinds"}
    assert set(document["kinds"]["seconds"]) == {"runs", "observations", "covered", "raw", "calibrated", "enough"}
    assert document["kinds"]["seconds"]["enough"]
    assert document["kinds"]["quality"]["covered"] is None
