import json

import pytest

import kistack
from kistack.bundle import workspace
from kistack.errors import InputError

PLAN = kistack.Plan(steps=(kistack.Step(use="retrieve/toy"), kistack.Step(use="tune/toy")))


@pytest.fixture
def scenario(monkeypatch, toy_project, toy_host):
    monkeypatch.setattr(workspace, "default_host", lambda: toy_host)
    return kistack.load_scenario(toy_project)


def test_runs_are_reproduced_and_held_against_each_other(scenario):
    record = kistack.run(PLAN, scenario)
    again = kistack.reproduce(record, scenario)
    assert isinstance(again, kistack.Reproduction)
    assert again.reproduced
    assert (again.origin, again.run != record.run) == (record.run, True)
    assert again.run in kistack.report(again)
    same = kistack.diff(record, again.run, scenario)
    assert isinstance(same, kistack.RunDifference)
    assert (same.first, same.second, same.plan, same.facts, same.items) == (record.run, again.run, (), (), ())
    assert json.loads(kistack.report(same, "json"))["first"] == record.run
    other = kistack.run(kistack.Plan(steps=(kistack.Step(use="retrieve/toy"),)), scenario)
    found = kistack.diff(record, other, scenario)
    assert any(line.startswith("-") and "tune/toy" in line for line in found.plan)
    assert {i.system for i in found.items} == {"plan"}


def test_what_cannot_be_compared_is_refused(scenario, tmp_path):
    with pytest.raises(InputError, match="there is no run 'nowhere'"):
        kistack.diff("nowhere", "last", scenario)
    with pytest.raises(InputError, match="tolerance 2 is not between"):
        kistack.reproduce("last", scenario, tolerance=2)
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match=r"other\.json is no manifest\.json"):
        kistack.reproduce(other, scenario)
