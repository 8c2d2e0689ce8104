import math
from dataclasses import replace

import pytest

from kistack.advisor.calibration import fit
from kistack.bundle.running import _calibrate
from kistack.bundle.totals import answering, foretold, observed
from kistack.bundle.workspace import Workspace
from kistack.domain.calibration import ANY, UNCALIBRATED, Calibration, Correction
from kistack.domain.facts import measured
from kistack.domain.plan import Plan, Step
from kistack.domain.records import RunRecord, StepRecord


def plan(*uses, **tuning):
    return Plan(steps=tuple(Step.model_validate({"use": u, "with": tuning if u == "tune/toy" else {}}) for u in uses))


def step(record, use):
    return next(s for s in record.steps if s.use == use)


def test_predictions_are_calibrated_by_runs_and_never_twice(toy_place, toy_host):
    wanted = plan("retrieve/toy", "tune/toy", seconds=0.4)
    records = []
    for _ in range(3):
        place = Workspace.find(toy_place.project.root, host=toy_host)
        records.append(place.run(place.compose(wanted, evaluation=False), fresh=True))
    first, second, third = (step(r, "tune/toy") for r in records)
    # The stage says 5 s and takes about 0.4 s; what it says stays what it says, whatever users are told.
    assert first.predicted["seconds"] == 5.0
    assert [s.raw["seconds"] for s in (first, second, third)] == [5.0, 5.0, 5.0]
    ledger = toy_place.project.ledger().observed()
    known = fit(o for o in ledger if o.run in {records[0].run, records[1].run})
    offset = known.of("seconds", "tune/toy", first_machine(records[0])).offset
    assert third.predicted["seconds"] == pytest.approx(5.0 * math.exp(offset))
    taken = sorted(s.measured["seconds"] for s in (first, second))
    assert 0.9 * taken[0] < third.predicted["seconds"] < 1.1 * taken[1]
    told = Workspace.find(toy_place.project.root, host=toy_host)
    assert told.calibration().of("seconds", "tune/toy", first_machine(records[0])).runs == 3
    # Every command tells the same number.
    node = next(n for n in told.compose(wanted).nodes if n.label == "tune/toy")
    again = toy_place.compose(wanted).estimate
    assert node.estimate.cost("seconds") < 5.0
    assert told.compose(wanted).estimate.cost("seconds") == again.cost("seconds") < again.stated("seconds")
    advised = [c for c in told.advise().candidates if c.name == "tune"]
    assert all(c.estimate.stated("seconds") >= 5.0 > c.estimate.cost("seconds") for c in advised)
    assert {o.raw for o in ledger if (o.kind, o.stage) == ("seconds", "tune/toy")} == {5.0}


def first_machine(record):
    return record.environment["machine"]


def test_what_another_run_measured_is_not_measured_again(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    first = toy_place.run(pipeline)
    again = toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy")))
    assert first.measured.keys() == {"quality", "serving_peak_bytes"}
    assert again.measured == {}
    assert first.runtime == again.runtime == answering(pipeline).opener.stage
    [points] = [o for o in toy_place.project.ledger().observed() if o.kind == "quality"]
    assert (points.run, points.stage, points.measured) == (first.run, "retrieve+tune", 100)
    # Times and memory were predicted for the machine that serves: on another one they say nothing of it.
    elsewhere = toy_place.profile().updated({"serving.fingerprint": measured("a phone", "made for a test")})
    assert observed(pipeline, first.steps, first.systems, toy_place.profile()) == first.measured
    assert observed(pipeline, first.steps, first.systems, elsewhere) == {"quality": 100}


def test_expected_points_are_those_of_the_day_it_was_built(toy_place):
    pipeline = toy_place.compose(plan("tune/toy"))
    calm = foretold(pipeline, toy_place.profile(), UNCALIBRATED)
    changes = measured(0.5, "made for a test", "share")
    faster = toy_place.profile().updated({"freshness.changed_per_day": changes, "part.a.changed_per_day": changes})
    assert foretold(pipeline, faster, UNCALIBRATED) == calm
    assert calm.predicted == calm.raw


def test_expected_points_are_moved_and_stay_points(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    raw = foretold(pipeline, toy_place.profile(), UNCALIBRATED).raw["quality"]
    for offset, told in ((5.0, raw + 5), (500.0, 100.0), (-500.0, 0.0)):
        calibration = Calibration({("quality", "retrieve+tune", ANY): Correction(offset, 5.0, 2)})
        found = foretold(pipeline, toy_place.profile(), calibration)
        assert (found.raw["quality"], found.predicted["quality"]) == (raw, pytest.approx(told))


def test_points_predicted_after_a_probe_are_a_kind_of_their_own(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    calibration = Calibration({("quality", ANY, ANY): Correction(5.0, 15.0)})
    probed = toy_place.profile().updated({"probe.pairs": measured(40, "made for a test")})
    before, after = (foretold(pipeline, p, calibration) for p in (toy_place.profile(), probed))
    assert before.predicted["quality"] == before.raw["quality"] + 5
    assert after.predicted["quality"] == after.raw["quality"]


def test_nothing_is_asked_of_a_plan_that_delivers_the_base_as_it_is(toy_place):
    pipeline = toy_place.compose(plan())
    assert observed(pipeline, (), {}, toy_place.profile()) == {}
    assert "quality" not in foretold(pipeline, toy_place.profile(), UNCALIBRATED).predicted


def test_a_calibration_that_cannot_be_kept_is_told_and_does_not_cost_the_run(toy_place, monkeypatch):
    def refuse(project):
        raise ArithmeticError("no way")

    monkeypatch.setattr("kistack.bundle.running.calibrate", refuse)
    done = RunRecord("r", "done", {}, "", {}, (StepRecord("tune/toy", "k", "done"),))
    fault = _calibrate(toy_place, done)
    assert fault.message == "predictions could not be calibrated: no way"
    # Where nothing was made there is nothing to learn.
    assert _calibrate(toy_place, replace(done, steps=(StepRecord("tune/toy", "k", "reused"),))) is None
