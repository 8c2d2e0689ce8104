"""Starting and watching runs without a screen: what a run's files and its process say is passed on as it comes."""

import sys

import pytest

from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import dump_plan
from kistack.errors import InputError
from kistack.execution.detach import launch
from kistack.execution.events import EVENTS_FILE, EventLog, LogLine, RunFinished, RunStarted
from kistack.tui import run_control
from kistack.tui.run_control import Refused, Started, start, watch

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(run_control, "LOOK_SECONDS", 0.005)
    monkeypatch.setattr(run_control, "_PATIENCE_SECONDS", 0.05)


@pytest.fixture
def asked(monkeypatch):
    """What would be started; nothing is."""
    found = []

    def note(project, plan_file):
        found.append(plan_file)
        return project.runs / "r1", 4711

    monkeypatch.setattr(run_control, "start_detached", note)
    return found


def write_plan(place, plan=PLAN):
    path = place.project.root / "plan.yaml"
    path.write_text(dump_plan(plan))
    return path


def test_a_plan_that_fits_is_started(toy_place, asked):
    path = write_plan(toy_place)
    assert start(toy_place, path) == Started(toy_place.project.runs / "r1", 4711)
    assert asked == [path]


def test_a_plan_over_a_limit_is_started_only_when_asked_for(toy_project, toy_host, asked):
    from kistack.bundle.workspace import Workspace

    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("4GB", "1KB"))
    place = Workspace.find(toy_project, host=toy_host)
    path = write_plan(place)
    found = start(place, path)
    assert isinstance(found, Refused)
    assert "memory" in found.error.message
    assert asked == []
    assert isinstance(start(place, path, over_limits=True), Started)
    assert asked == [path]


def test_a_plan_that_cannot_be_read_or_composed_starts_nothing(toy_place, asked):
    path = toy_place.project.root / "plan.yaml"
    path.write_text("steps: 3\n")
    with pytest.raises(InputError):
        start(toy_place, path)
    write_plan(toy_place, Plan(steps=(Step(use="tune/nobody"),)))
    with pytest.raises(InputError, match="nobody"):
        start(toy_place, path)
    assert asked == []


class Watching:
    """Who watches a run: what was told, and for how many looks."""

    def __init__(self, run_dir, *, looks=1000, since=0.0, between=None):
        self.events, self.batches, self.cause, self.looks = [], 0, None, looks
        self.between = between or (lambda look: None)
        watch(run_dir, self.tell, self.lost, self.gone, since=since)

    def tell(self, events):
        self.batches += 1
        self.events += events

    def lost(self, cause):
        assert self.cause is None
        self.cause = cause

    def gone(self):
        self.looks -= 1
        self.between(self.looks)
        return self.looks < 0


@pytest.fixture
def driven(monkeypatch):
    """Whether a process drives the run, as the test says."""
    state = {"alive": True}
    monkeypatch.setattr(run_control, "is_driven", lambda _run_dir: state["alive"])
    return state


def told_by(run_dir):
    """What appends to a run's events."""
    return EventLog(run_dir / EVENTS_FILE).write


def begun(run="r", time=1.0):
    return RunStarted(time=time, run=run, total=1, uses=("retrieve/toy",))


def test_events_come_in_batches_and_the_last_ones_too(tmp_path, driven):
    log = told_by(tmp_path)
    log(begun())

    def go_on(look):
        if look == 995:
            log(LogLine(time=2.0, key="k", message="half"))
        if look == 990:
            log(RunFinished(time=3.0, run="r", status="done", seconds=2.0))
            driven["alive"] = False

    found = Watching(tmp_path, between=go_on)
    assert [type(e) for e in found.events] == [RunStarted, LogLine, RunFinished]
    assert found.batches == 3
    assert found.cause is None
    assert found.looks > 900


def test_a_finished_run_is_left_only_when_its_process_is_gone(tmp_path, driven):
    log = told_by(tmp_path)
    log(begun())
    log(RunFinished(time=3.0, run="r", status="done", seconds=2.0))
    assert Watching(tmp_path, looks=20).looks < 0
    driven["alive"] = False
    assert Watching(tmp_path, looks=20).looks > 15


def test_the_end_before_a_run_was_taken_up_again_is_passed_over(tmp_path, driven):
    log = told_by(tmp_path)
    log(begun())
    log(RunFinished(time=3.0, run="r", status="cancelled", seconds=2.0))

    def go_on(look):
        if look == 990:
            log(begun(time=11.0))
            log(RunFinished(time=12.0, run="r", status="done", seconds=1.0))
            driven["alive"] = False

    found = Watching(tmp_path, since=10.0, between=go_on)
    assert [e.status for e in found.events if isinstance(e, RunFinished)] == ["done"]
    assert found.cause is None


def test_a_process_that_is_gone_without_a_word_is_told_with_its_cause(tmp_path):
    log = told_by(tmp_path)
    log(begun())
    launch([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], tmp_path)
    found = Watching(tmp_path)
    assert [type(e) for e in found.events] == [RunStarted]
    assert "killed by signal 9 (SIGKILL)" in found.cause


def test_what_was_said_before_it_could_begin_is_told(tmp_path):
    launch([sys.executable, "-c", "import sys; sys.exit('no such plan')"], tmp_path)
    found = Watching(tmp_path)
    assert found.events == []
    assert "ended with status 1" in found.cause
    assert "no such plan" in found.cause


def test_a_run_that_has_not_been_written_down_yet_is_waited_for(tmp_path, driven):
    driven["alive"] = False

    def go_on(look):
        if look == 17:
            driven["alive"] = True
            log(begun())

    log = told_by(tmp_path)
    found = Watching(tmp_path, looks=20, between=go_on)
    assert [type(e) for e in found.events] == [RunStarted]
    assert found.cause is None


def test_nothing_is_read_for_nobody(tmp_path, driven):
    told_by(tmp_path)(begun())
    assert Watching(tmp_path, looks=0).events == []
