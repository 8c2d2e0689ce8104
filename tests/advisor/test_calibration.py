import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.advisor.calibration import calibrate, fit
from kistack.domain.calibration import ANY, ENOUGH, PRIORS, UNCALIBRATED, Calibration, Observed
from kistack.storage.project import Project

TIMED = sorted(k for k, p in PRIORS.items() if p.timed)
SIZED = sorted(k for k, p in PRIORS.items() if not p.timed and not p.points)


def seen(*errors, kind="seconds", stage="tune/x", machine="m", first=0):
    """Observations with these errors, each of a run of its own."""
    return [
        Observed(f"{kind}-{machine}-{stage}-{first + n}", kind, stage, machine, *_pair(kind, error))
        for n, error in enumerate(errors)
    ]


def _pair(kind, error):
    stated = 1e9 if "bytes" in kind else 10.0
    return (50.0, 50.0 + error) if PRIORS[kind].points else (stated, stated * math.exp(error))


errors = st.floats(-2.5, 2.5)
observations = st.lists(
    st.builds(
        lambda run, kind, stage, machine, error: Observed(f"r{run}", kind, stage, machine, *_pair(kind, error)),
        st.integers(0, 9),
        st.sampled_from(sorted(PRIORS)),
        st.sampled_from(["tune/x", "tune/y", "merge/z"]),
        st.sampled_from(["m", "n"]),
        errors,
    ),
    max_size=25,
)


def test_no_run_is_no_calibration():
    assert fit([]) == UNCALIBRATED
    assert fit([Observed("r", "threads", "x", "m", 1, 2), Observed("r", "seconds", "x", "m", 0, 2)]) == UNCALIBRATED


@pytest.mark.parametrize("factor", [0.2, 0.5, 1.5, 4.0])
@pytest.mark.parametrize("kind", TIMED)
def test_two_runs_bring_the_third_within_a_quarter(kind, factor):
    calibration = fit(seen(math.log(factor), math.log(factor), kind=kind))
    found = calibration.of(kind, "tune/x", "m")
    assert found.enough
    assert 0.8 < math.exp(found.offset) / factor < 1.25
    assert math.exp(found.half) < 1.5


def test_two_runs_that_wander_by_ten_percent_still_do():
    found = fit(seen(math.log(1.9 * 1.1), math.log(1.9 / 1.1))).of("seconds", "tune/x", "m")
    assert 0.8 < math.exp(found.offset) / 1.9 < 1.25


@pytest.mark.parametrize("outlier", [0.02, 0.1, 10.0, 50.0])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_wild_run_of_three_does_not_decide(outlier, place):
    factors = [1.4, 1.4]
    factors.insert(place, outlier)
    found = fit(seen(*(math.log(f) for f in factors))).of("seconds", "tune/x", "m")
    assert 0.8 < math.exp(found.offset) / 1.4 < 1.25
    # But it makes the interval wider than three that agree.
    assert found.half > fit(seen(*[math.log(1.4)] * 3)).of("seconds", "tune/x", "m").half * 1.5


def test_small_numbers_are_learnt_and_say_nothing_of_others():
    tiny = [
        Observed("r", kind, stage, "m", 0.8 * floor, 0.1 * floor)
        for kind, floor in (("seconds", 5), ("bytes", 1e6), ("peak_bytes", 1e8))
        for stage in ("evaluate/a", "evaluate/b", "evaluate/c")
    ]
    calibration = fit(tiny)
    for kind in ("seconds", "bytes", "peak_bytes"):
        assert calibration.of(kind, "evaluate/a", "m").offset < -0.8
        assert calibration.of(kind, "tune/x", "m").offset == 0
    both = fit([*tiny, *seen(0.4)])
    assert both.of("seconds", "tune/x", "m").offset == pytest.approx(fit(seen(0.4)).of("seconds", "tune/x", "m").offset)


def test_what_takes_a_moment_does_not_correct_what_takes_long_of_the_same_stage():
    # unpacking a language model, and linking a sentence encoder: measured on the demo
    runs = [Observed(r, "seconds", "source/x", "m", *seen) for r in "ab" for seen in ((23.5, 35.0), (0.5, 0.14))]
    found = fit(runs).of("seconds", "source/x", "m")
    assert found.runs == 2
    assert 0.85 < math.exp(found.offset) / (35.0 / 23.5) < 1.15
    alone = fit(runs[1::2]).of("seconds", "source/x", "m")
    assert math.exp(alone.offset) < 0.6  # where nothing else is known, it counts


def test_one_run_moves_the_number_and_leaves_the_interval_of_the_prior():
    found = fit(seen(0.7)).of("seconds", "tune/x", "m")
    assert 0.5 < found.offset < 0.7
    assert (found.runs, found.enough) == (1, False)
    assert found.half == PRIORS["seconds"].half


def test_a_stage_that_has_not_run_takes_little_and_the_prior_s_interval():
    calibration = fit(seen(0.7, 0.7))
    found = calibration.of("seconds", "quantize/y", "m")
    assert 0 < found.offset < 0.3
    assert (found.runs, found.half) == (0, max(found.half, PRIORS["seconds"].half))
    many = [o for n in range(8) for o in seen(0.7, 0.7, stage=f"stage/{n}")]
    assert fit(many).of("seconds", "quantize/y", "m").offset > found.offset


def test_times_of_another_machine_count_less_and_bytes_fully():
    for kind in TIMED:
        calibration = fit(seen(0.7, 0.7, kind=kind, machine="other"))
        here, there = (calibration.of(kind, "tune/x", m) for m in ("m", "other"))
        assert 0.3 * there.offset < here.offset < 0.95 * there.offset
        assert (here.runs, here.elsewhere, there.runs) == (0, 2, 2)
        assert here.half >= PRIORS[kind].half > there.half
    for kind in SIZED:
        calibration = fit(seen(0.02, 0.02, kind=kind, machine="other"))
        assert calibration.of(kind, "tune/x", "m") == calibration.of(kind, "tune/x", "other")
        assert calibration.of(kind, "tune/x", "m").runs == 2


def test_own_runs_outweigh_many_of_another_machine():
    calibration = fit([*seen(*[1.0] * 20, machine="other"), *seen(0.0, 0.0)])
    assert abs(calibration.of("seconds", "tune/x", "m").offset) < 0.15
    assert abs(calibration.of("seconds", "tune/x", "other").offset - 1.0) < 0.05


def test_a_stage_that_wanders_does_not_spoil_one_that_repeats_to_the_byte():
    exact = seen(0.4, 0.4, kind="bytes")
    wild = seen(*[-1.0, 1.0, 0.2, -0.6] * 3, kind="bytes", stage="evaluate/z")
    alone, beside = (fit(rows).of("bytes", "tune/x") for rows in (exact, [*exact, *wild]))
    assert abs(beside.offset - 0.4) < 0.01
    assert beside.half == pytest.approx(alone.half, rel=0.05)
    assert fit([*exact, *wild]).of("bytes", "evaluate/z").half > 10 * beside.half


def test_several_steps_of_one_run_are_one_run():
    three = [o._replace(run="r") for o in seen(0.5, 0.5, 0.5, stage="answer/items")]
    assert fit(three).of("seconds", "answer/items", "m").runs == 1
    assert fit(three).runs == 1


def test_points_are_moved_by_points_and_all_plans_share_some():
    calibration = fit(seen(16.0, 16.0, kind="quality", stage="retrieve+tune"))
    own, other = (calibration.of("quality", name) for name in ("retrieve+tune", "tune"))
    assert 13 < own.offset < 16
    assert 4 < other.offset < own.offset
    assert own.half < other.half


@settings(max_examples=25, deadline=None)
@given(observations)
def test_corrections_are_bounded_by_the_data_and_finite(rows):
    calibration = fit(rows)
    for (kind, stage, machine), found in calibration.corrections.items():
        shown = [o.error for o in rows if o.kind == kind]
        assert min(0, *shown) <= found.offset <= max(0, *shown)
        assert 0 < found.half < 100
        assert found.runs <= len({o.run for o in rows if o.kind == kind})
        if found.runs < ENOUGH or stage == ANY:
            assert found.half >= PRIORS[kind].half
        assert machine == ANY or PRIORS[kind].timed
    assert Calibration.from_json(calibration.to_json()) == calibration


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(PRIORS)), st.floats(-2, 2), st.integers(0, 8))
def test_a_run_that_agrees_narrows_the_interval(kind, error, count):
    halves = [fit(seen(*[error] * n, kind=kind)).of(kind, "tune/x", "m").half for n in (count, count + 1)]
    assert halves[1] <= halves[0]
    if count + 1 >= ENOUGH:
        assert halves[1] < halves[0]


@settings(max_examples=15, deadline=None)
@given(observations, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    one, other = fit(rows), fit(shuffled)
    assert one.corrections.keys() == other.corrections.keys()
    for key, found in one.corrections.items():
        assert other.corrections[key].offset == pytest.approx(found.offset, abs=1e-9)
        assert other.corrections[key].half == pytest.approx(found.half)


def test_a_projects_calibration_is_kept_and_read_back(tmp_path):
    from dataclasses import replace

    from storage.test_ledger import record

    project = Project(tmp_path)
    assert project.calibration() == UNCALIBRATED
    ledger = project.ledger()
    ledger.append(record("r1"))
    ledger.append(replace(record("r2"), started="later"))
    found = calibrate(project)
    assert found.of("seconds", "tune/lora", "machine-1").runs == 2
    assert project.calibration() == found
