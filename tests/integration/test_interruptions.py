"""Runs that are killed, stopped, sent away and watched: nothing finished is done twice, nothing ends differently."""

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import tinydesk
from driving import events, finish, start, wait_until

from kistack.domain.records import RunRecord
from kistack.execution.events import LogLine, Progress, RunFinished, StepDone, StepFailure, StepReused, StepStarted

pytestmark = pytest.mark.system

GOES_ON = "training goes on after optimizer step"


@dataclass(frozen=True)
class Killed:
    """A project whose runs were killed during distillation, then during tuning, then left to finish."""

    root: Path
    record: RunRecord
    runs: list


@pytest.fixture(scope="module")
def killed(tmp_path_factory, tiny_models, one_core):
    root = tinydesk.write_tiny_project(tmp_path_factory.mktemp("killed") / "desk", tiny_models)
    for use in ("distill/response", "tune/lora"):
        kill_while_training(root, use)
    code, _, error = finish(start("-q", "run", "plan.yaml", cwd=root))
    assert code == 0, error
    runs = list(events(root).values())
    last = max((root / ".kistack/runs").iterdir())
    return Killed(root, RunRecord.from_json(json.loads((last / "record.json").read_text())), runs)


def kill_while_training(root, use):
    """Start the run and kill -9 its process group once the step has a checkpoint and is still training.

    A checkpoint is due three seconds after a training began: while the worker is halted they go by without work, so
    that the step is caught in its middle on slow and on fast machines.
    """
    process = start("-q", "run", "plan.yaml", cwd=root)
    wait_until(lambda: progress_of(root, use) > 0, process=process)
    [worker] = psutil.Process(process.pid).children()
    worker.suspend()
    time.sleep(3.5)
    worker.resume()
    scratch = root / ".kistack/store/scratch" / key_of(root, use)
    wait_until(lambda: any(scratch.glob("training/checkpoint-*")), process=process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, seconds=30)


def last_run(root):
    folder = root / ".kistack/runs"
    return list(events(root).values())[-1] if folder.is_dir() and any(folder.iterdir()) else []


def key_of(root, use):
    return next((e.key for e in reversed(last_run(root)) if isinstance(e, StepStarted) and e.use == use), "")


def progress_of(root, use):
    """What the current try of a step has told: tokens done."""
    key = key_of(root, use)
    told = [e.done for e in last_run(root) if isinstance(e, Progress) and e.key == key and e.unit == "tokens"]
    return told[-1] if told else 0


def test_the_killed_runs_were_in_the_middle_of_training(killed):
    first, second, third = killed.runs
    for run, use in ((first, "distill/response"), (second, "tune/lora")):
        assert not any(isinstance(e, RunFinished) for e in run)
        begun = [e.use for e in run if isinstance(e, StepStarted)]
        assert begun[-1] == use
        told = [e for e in run if isinstance(e, Progress) and e.unit == "tokens"]
        assert 0 < told[-1].done < told[-1].total
    assert third[-1].status == "done"


def test_a_training_goes_on_from_its_checkpoint(killed):
    _, second, third = killed.runs
    for run, use in ((second, "distill/response"), (third, "tune/lora")):
        key = next(e.key for e in run if isinstance(e, StepStarted) and e.use == use)
        [line] = [e.message for e in run if isinstance(e, LogLine) and e.key == key and GOES_ON in e.message]
        step, total = (int(word) for word in line.removeprefix(GOES_ON).split(" of "))
        assert 0 < step < total
        told = [e for e in run if isinstance(e, Progress) and e.key == key and e.unit == "tokens"]
        assert told[0].done > told[0].total * (step / total) * 0.5
        assert told[-1].done == told[-1].total
        [done] = [e for e in run if isinstance(e, StepDone) and e.key == key]
        assert done.measured["resumed"] == 1


def test_no_finished_step_is_repeated(killed):
    made = Counter(e.key for run in killed.runs for e in run if isinstance(e, StepDone))
    assert set(made.values()) == {1}
    finished = {e.key for e in killed.runs[0] if isinstance(e, StepDone)}
    for run in killed.runs[1:]:
        assert finished <= {e.key for e in run if isinstance(e, StepReused)}
        finished |= {e.key for e in run if isinstance(e, StepDone)}


def test_everything_deterministic_ends_with_the_digests_of_an_undisturbed_run(killed, finished):
    disturbed = {s.key: s for s in killed.record.steps}
    undisturbed = {s.key: s for s in finished.record.steps}
    assert disturbed.keys() == undisturbed.keys()
    sure = {key for key, s in undisturbed.items() if s.deterministic}
    assert {undisturbed[key].use for key in sure} >= {"distill/response", "tune/lora", "quantize/gguf"}
    timed = {s.key for s in finished.record.steps if s.use == "evaluate/speed"}  # reads what a clock said
    for key in sure - timed:
        assert disturbed[key].outputs == undisturbed[key].outputs, undisturbed[key].use


def test_the_same_passages_are_retrieved(killed, finished):
    def passages(root, record):
        digest = record.systems["plan"].answers
        file = root / ".kistack/store/artifacts" / digest / "answers.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        return [(row["id"], [(p["id"], p["score"]) for p in row["passages"]], row["text"]) for row in rows]

    found = passages(killed.root, killed.record)
    assert found == passages(finished.root, finished.record)
    assert all(len(ids) == 2 for _, ids, _ in found)


# --- sent away, listed, watched, stopped


@pytest.fixture
def slow(toy_project, toy_environment):
    """The toy project with a plan that takes a while, and a way to run commands in it."""
    taking(3, toy_project)

    def call(*arguments):
        return finish(start(*arguments, cwd=toy_project, env=toy_environment), 60)

    return call


def taking(seconds, toy_project):
    """Have the tuning of the plan take so long."""
    plan = f"steps: [{{use: retrieve/toy}}, {{use: tune/toy, with: {{seconds: {seconds}}}}}]\n"
    (toy_project / "plan.yaml").write_text(plan)


def runs_of(call):
    code, text, error = call("runs", "--json")
    assert code == 0, error
    return json.loads(text)["runs"]


def test_a_detached_run_is_listed_watched_and_leaves_a_bundle(slow, toy_project):
    code, text, error = slow("run", "plan.yaml", "--detach", "--json")
    assert code == 0, error
    begun = json.loads(text)
    assert psutil.pid_exists(begun["pid"])
    assert f"kistack attach {begun['run']}" in error
    wait_until(lambda: progress(toy_project) >= 1)
    [shown] = runs_of(slow)
    assert (shown["run"], shown["status"], shown["use"]) == (begun["run"], "running", "tune/toy")
    code, text, error = slow("attach", begun["run"])
    assert code == 0, error
    assert text == f"{begun['run']}: done\n"
    assert "tune/toy" in error
    assert runs_of(slow)[0]["status"] == "done"
    code, text, _ = slow("ask", "last", "What is the latest release of Product5")
    assert code == 0
    assert "1.5" in text


def progress(root):
    return max((e.done for e in last_run(root) if isinstance(e, Progress) and e.unit == "batches"), default=0)


def test_a_cancelled_run_keeps_what_is_finished_and_goes_on_from_its_checkpoint(slow, toy_project):
    taking(9, toy_project)  # the command to cancel it has to start meanwhile
    _, text, _ = slow("run", "plan.yaml", "--detach", "--json")
    run = json.loads(text)["run"]
    wait_until(lambda: progress(toy_project) >= 3)
    code, text, error = slow("cancel", run)
    assert (code, text) == (0, f"{run}: cancelled\n"), error
    [stopped] = [e for e in last_run(toy_project) if isinstance(e, StepFailure)]
    assert (stopped.use, stopped.status) == ("tune/toy", "cancelled")
    assert runs_of(slow)[0]["status"] == "cancelled"
    code, _, error = slow("cancel", run)
    assert code == 2
    assert "not running" in error
    code, text, error = slow("-q", "run", "plan.yaml", "--json")
    assert code == 0, error
    steps = {s["use"]: s for s in json.loads(text)["steps"]}
    assert steps["retrieve/toy"]["status"] == "reused"
    assert steps["tune/toy"]["status"] == "done"
    [done] = [e for e in last_run(toy_project) if isinstance(e, StepDone) and e.use == "tune/toy"]
    assert done.measured["resumed"] == 1
    told = [e.done for e in last_run(toy_project) if isinstance(e, Progress) and e.unit == "batches"]
    assert told[0] > 1


def test_a_killed_run_is_said_to_be_killed_and_attach_fails(slow, toy_project):
    _, text, _ = slow("run", "plan.yaml", "--detach", "--json")
    begun = json.loads(text)
    wait_until(lambda: progress(toy_project) >= 1)
    os.killpg(begun["pid"], signal.SIGKILL)
    wait_until(lambda: runs_of(slow)[0]["status"] == "killed", seconds=30)
    code, _, error = slow("attach", begun["run"])
    assert code == 1
    assert "killed" in error
    assert "hint: " in error


def test_the_same_run_twice_at_once_makes_each_step_once(slow, toy_project, toy_environment):
    options = {"cwd": toy_project, "env": toy_environment}
    both = [start("-q", "run", "plan.yaml", "--json", **options) for _ in range(2)]
    results = [finish(process, 90) for process in both]
    assert [code for code, _, _ in results] == [0, 0], results
    made = Counter(e.key for run in events(toy_project).values() for e in run if isinstance(e, StepDone))
    assert set(made.values()) == {1}
    outputs = [{s["use"]: s["outputs"] for s in json.loads(text)["steps"]} for _, text, _ in results]
    assert outputs[0] == outputs[1]
