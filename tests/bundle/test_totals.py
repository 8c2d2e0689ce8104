import json
import math

import pytest

from kistack.bundle.totals import answering, foretold, observed
from kistack.bundle.workspace import Workspace
from kistack.domain.calibration import ANY, UNCALIBRATED, Calibration, Correction
from kistack.domain.facts import measured
from kistack.domain.plan import Plan, Step
from kistack.storage.project import CALIBRATION_FILE


def plan(*uses, **tuning):
    return Plan(steps=tuple(Step.model_validate({"use": u, "with": tuning if u == "tune/toy" else {}}) for u in uses))


def step(record, use):
    return next(s for s in record.steps if s.use == use)


def test_predictions_are_calibrated_by_runs_and_never_twice(toy_place, toy_host):
    wanted = plan("retrieve/toy", "tune/toy", seconds=0.4)
    records = []
    for _ in range(3):
        place = Workspace.find(toy_place.project.root, host=toy_host)
        records.append(place.run(place.compose(wanted), fresh=True))
    first, second, third = (step(r, "tune/toy") for r in records)
    # The stage says 5 s and takes about 0.4 s; what it says stays what it says, whatever users are told.
    assert first.predicted["seconds"] == 5.0
    assert [s.raw["seconds"] for s in (first, second, third)] == [5.0, 5.0, 5.0]
    assert abs(math.log(third.predicted["seconds"] / third.measured["seconds"])) < abs(math.log(1.5))
    told = Workspace.find(toy_place.project.root, host=toy_host)
    assert told.calibration().of("seconds", "tune/toy", first_machine(records[0])).runs == 3
    # Every command tells the same number.
    node = next(n for n in told.compose(wanted).nodes if n.label == "tune/toy")
    assert node.estimate.cost("seconds") < 1.0
    advised = [c for c in told.advise().candidates if c.name == "tune"]
    assert all(c.estimate.stated("seconds") >= 5.0 > c.estimate.cost("seconds") for c in advised)
    observed_now = told.project.ledger().observed()
    assert {o.raw for o in observed_now if (o.kind, o.stage) == ("seconds", "tune/toy")} == {5.0}
    points = [(o.raw, o.measured) for o in observed_now if o.kind == "quality"]
    assert len(points) == 3
    assert len(set(points)) == 1
    assert points[0][1] == 100


def first_machine(record):
    return record.environment["machine"]


def test_what_another_run_measured_is_not_measured_again(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    first = toy_place.run(pipeline)
    again = toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy")))
    assert first.measured.keys() == {"quality", "serving_peak_bytes"}  # no toy measures times
    assert again.measured == {}
    assert first.runtime == again.runtime == answering(pipeline).opener.stage
    assert [o.run for o in toy_place.project.ledger().observed() if o.kind == "quality"] == [first.run]


def test_serving_numbers_of_another_machine_are_not_measured_here(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    record = toy_place.run(pipeline)
    elsewhere = toy_place.profile().updated({"serving.fingerprint": measured("a phone", "made for a test")})
    assert observed(pipeline, record.steps, record.systems, toy_place.profile()) == record.measured
    assert observed(pipeline, record.steps, record.systems, elsewhere) == {"quality": record.measured["quality"]}


def test_nothing_was_asked_of_the_base_model_s_plan(toy_place):
    record = toy_place.run(toy_place.compose(plan()))
    assert record.measured == {}
    assert "quality" not in record.predicted


def test_expected_points_are_those_of_the_day_it_was_built(toy_place):
    pipeline = toy_place.compose(plan("tune/toy"))
    calm = foretold(pipeline, toy_place.profile(), UNCALIBRATED)
    faster = toy_place.profile().updated({"freshness.changed_per_day": measured(0.5, "made for a test", "share")})
    assert foretold(pipeline, faster, UNCALIBRATED) == calm
    assert calm.predicted == calm.raw


def test_expected_points_are_moved_and_stay_points(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    raw = foretold(pipeline, toy_place.profile(), UNCALIBRATED).raw["quality"]
    for offset, told in ((5.0, raw + 5), (500.0, 100.0), (-500.0, 0.0)):
        calibration = Calibration({("quality", "retrieve+tune", ANY): Correction(offset, 5.0, 2)})
        found = foretold(pipeline, toy_place.profile(), calibration)
        assert (found.raw["quality"], found.predicted["quality"]) == (raw, pytest.approx(told))


def test_a_calibration_that_cannot_be_kept_does_not_cost_the_run(toy_place, monkeypatch):
    from kistack.execution.events import Warned

    def refuse(project):
        raise ArithmeticError("no way")

    monkeypatch.setattr("kistack.bundle.running.calibrate", refuse)
    told = []
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")), on_event=told.append)
    assert record.status == "done"
    assert [e.message for e in told if isinstance(e, Warned)] == ["predictions could not be calibrated: no way"]


def test_a_calibration_file_that_cannot_be_read_is_as_none_and_made_anew(toy_place, toy_host):
    toy_place.run(toy_place.compose(plan("retrieve/toy")))
    file = toy_place.project.work / CALIBRATION_FILE
    assert json.loads(file.read_text())["schema"] == 1
    known = toy_place.calibration()
    for text in ("{", "[]", '{"schema": 99}', '{"schema": 1, "runs": 1, "corrections": [{}]}'):
        file.write_text(text)
        assert Workspace.find(toy_place.project.root, host=toy_host).calibration() == UNCALIBRATED
    toy_place.run(toy_place.compose(plan("retrieve/toy")), fresh=True)
    assert toy_place.calibration().runs == known.runs + 1
