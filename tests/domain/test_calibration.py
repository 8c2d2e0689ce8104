import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.domain.calibration import (
    ANY,
    ENOUGH,
    PRIORS,
    SERVING_KINDS,
    UNCALIBRATED,
    Calibration,
    Correction,
    Observed,
    work_of,
)
from kistack.domain.records import Estimate

costs = st.dictionaries(
    st.sampled_from(["seconds", "peak_bytes", "money", "scratch_bytes"]), st.just(0.0) | st.floats(1e-6, 1e12)
)
corrections = st.builds(Correction, st.floats(-5, 5), st.floats(0, 5), st.integers(0, 9), st.integers(0, 9))
calibrations = st.builds(
    Calibration,
    st.dictionaries(
        st.tuples(
            st.sampled_from(sorted(PRIORS)),
            st.sampled_from(["tune/x", "tune+retrieve", ANY]),
            st.sampled_from(["m", ANY]),
        ),
        corrections,
    ),
    st.integers(0, 99),
)


@given(costs, st.floats(1, 1e12))
def test_without_runs_every_prediction_stays_as_stated(stated, size):
    estimate = Estimate(stated, {"model": {"bytes": size, "params": 3.0}})
    told = UNCALIBRATED.corrected(estimate, "tune/x", "m")
    assert (told.costs, told.facts, told.raw) == (estimate.costs, estimate.facts, {})
    for name, (low, high) in told.intervals.items():
        value = told.made if name == "bytes" else told.cost(name)
        assert low <= value <= high
        assert math.log(high / low) == pytest.approx(2 * PRIORS[name].half)


@given(calibrations)
def test_a_calibration_reads_back_as_it_was(calibration):
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@given(calibrations, st.floats(1e-3, 1e9), st.floats(1, 1e12))
def test_what_was_stated_can_always_be_told_from_what_is_predicted(calibration, seconds, size):
    told = calibration.corrected(Estimate({"seconds": seconds}, {"out": {"bytes": size}}), "tune/x", "m")
    assert told.stated("seconds") == seconds
    assert told.raw.get("bytes", told.made) == size
    found = calibration.of("seconds", "tune/x", "m")
    assert told.cost("seconds") == pytest.approx(seconds * math.exp(found.offset))
    low, high = told.interval("seconds")
    assert low <= told.cost("seconds") * (1 + 1e-12)
    assert told.cost("seconds") <= high * (1 + 1e-12)


def test_bytes_grow_and_other_facts_do_not():
    calibration = Calibration({("bytes", "tune/x", ANY): Correction(math.log(2), 0.1, 3)})
    told = calibration.corrected(Estimate({}, {"a": {"bytes": 10, "params": 5}, "b": {"bytes": 1}}), "tune/x", "m")
    assert told.facts == {"a": {"bytes": pytest.approx(20), "params": 5}, "b": {"bytes": pytest.approx(2)}}
    assert told.raw == {"bytes": 11}


def test_the_nearest_that_is_known_corrects():
    names = {
        ("seconds", "tune/x", "m"): Correction(0.1),
        ("seconds", "tune/x", ANY): Correction(0.2),
        ("seconds", ANY, "m"): Correction(0.3),
        ("seconds", ANY, ANY): Correction(0.4),
        ("peak_bytes", "tune/x", ANY): Correction(0.5),
    }
    calibration = Calibration(names)
    asked = [("tune/x", "m"), ("tune/x", "other"), ("tune/y", "m"), ("tune/y", "other")]
    assert [calibration.of("seconds", *a).offset for a in asked] == [0.1, 0.2, 0.3, 0.4]
    # Memory does not depend on the machine.
    assert calibration.of("peak_bytes", "tune/x", "other").offset == 0.5
    assert calibration.of("peak_bytes", "tune/y", "m") == Correction(half=PRIORS["peak_bytes"].half)
    with pytest.raises(KeyError):
        calibration.of("colour", "tune/x", "m")


def test_serving_memory_is_another_kind_than_a_steps_memory():
    calibration = Calibration({("serving_peak_bytes", "runtime/x", ANY): Correction(math.log(2))})
    told = calibration.corrected(Estimate({"peak_bytes": 3.0}), "runtime/x", "m", SERVING_KINDS)
    assert told.cost("peak_bytes") == pytest.approx(6)
    assert calibration.corrected(Estimate({"peak_bytes": 3.0}), "runtime/x", "m").cost("peak_bytes") == 3


def test_what_a_step_opens_is_part_of_what_it_is_calibrated_as():
    assert work_of("tune/x", []) == "tune/x"
    assert (
        work_of("answer/items", ["runtime/y", "retrieve/x", "runtime/y"]) == "answer/items with retrieve/x, runtime/y"
    )
    calibration = Calibration({("seconds", "distill/x with runtime/y", "m"): Correction(0.1, 0.2, 4)})
    assert calibration.describe(["distill/x"], "m") == "predicted costs: calibrated by 4 runs of distill/x here"


def test_one_line_says_what_numbers_rest_on():
    calibration = Calibration(
        {
            ("seconds", "tune/lora", "m"): Correction(0.1, 0.2, ENOUGH),
            ("seconds", "quantize/x", "m"): Correction(0.1, 0.2, 1),
            ("seconds", "retrieve/x", "m"): Correction(0.1, 0.2, 0, 4),
        }
    )
    assert calibration.describe(["tune/lora"], "m") == "predicted costs: calibrated by 2 runs of tune/lora here"
    assert calibration.describe(["tune/lora", "quantize/x", "retrieve/x", "distill/y"], "m") == (
        "predicted costs: calibrated by 2 runs of tune/lora here; not calibrated: 1 run of quantize/x here, "
        "0 runs of retrieve/x here (4 elsewhere), 0 runs of distill/y here; interval is the prior's"
    )
    assert UNCALIBRATED.describe([], "m") == ""


@pytest.mark.parametrize(("raw", "measured"), [(0, 1), (1, 0), (-1, 1), (1, math.inf), (math.nan, 1)], ids=str)
def test_numbers_without_a_ratio_say_nothing(raw, measured):
    assert Observed("r", "seconds", "x", "m", raw, measured).error is None


def test_errors_are_on_the_scale_of_their_kind():
    assert Observed("r", "seconds", "x", "m", 2.0, 4.0).error == pytest.approx(math.log(2))
    assert Observed("r", "quality", "x", "m", 0.0, 40.0).error == 40
    assert Observed("r", "threads", "x", "m", 2.0, 4.0).error is None


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"corrections": [{"kind": "seconds"}]}, {"corrections": [dict.fromkeys(
        ("kind", "stage", "machine", "offset", "half", "runs", "elsewhere"), "nan")]}],
    ids=["schema", "torn", "no number"],
)  # fmt: skip
def test_another_form_is_refused(change):
    with pytest.raises((KeyError, ValueError)):
        Calibration.from_json({**UNCALIBRATED.to_json(), **change})
