"""The worker as a program, and the parts of it that a runner never shows."""

import json
import re
import subprocess
import sys
import time

import chores
import pytest
from chores import node

from kistack.errors import Cancelled, DataError, PluginError, StepFailed, StoreError
from kistack.execution import worker as module
from kistack.execution.job import Outcome
from kistack.execution.preparation import Resolver, prepare_job
from kistack.execution.worker import run_job

KEY = "a" * 64


@pytest.fixture
def prepare(store, run_dir):
    (run_dir / "jobs").mkdir()
    (run_dir / "logs").mkdir()

    def make(what="environment", number=0.0, stage=chores.Misbehave):
        made = node(stage(), KEY, chores.Words(text=what, number=number))
        folders = store.prepare(KEY, made.outputs)
        resolve = Resolver(chores.pipeline(made), None)
        return prepare_job(made, {}, folders, resolve=resolve, store=store, run_dir=run_dir, stem="01-x")

    return make


def test_a_job_file_can_be_run_by_hand(prepare, tmp_path):
    job = prepare("say")
    job.write(tmp_path / "job.json")
    command = [sys.executable, "-m", "kistack.execution.worker", str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "")
    assert Outcome.read(job.result).error is None
    job = prepare("stop")
    job.write(tmp_path / "job.json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "raised ValueError" in done.stdout


def test_a_worker_whose_input_ends_in_a_step_ends_with_all_it_started(prepare, tmp_path):
    job = prepare("orphan", 60.0)
    job.write(tmp_path / "job.json")
    command = [sys.executable, "-m", "kistack.execution.worker"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    with process:
        process.stdin.write(f"{tmp_path / 'job.json'}\n".encode())
        process.stdin.flush()
        marker = job.scratch / "child"
        while not marker.exists() or not marker.read_text():
            time.sleep(0.02)
        child = int(marker.read_text())
        process.stdin.close()
        assert process.wait(20) == -9
    deadline = time.monotonic() + 10
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(child)


def test_a_job_whose_runner_ended_before_it_began_is_not_run(prepare, tmp_path):
    job = prepare("orphan", 60.0)
    job.write(tmp_path / "job.json")
    command = [sys.executable, "-m", "kistack.execution.worker"]
    line = f"{tmp_path / 'job.json'}\n"
    done = subprocess.run(
        command, input=line, text=True, capture_output=True, check=False, start_new_session=True, timeout=30
    )
    assert done.returncode == -9
    assert done.stdout == ""


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a file of the system
            return file.read().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("what", "error", "message", "hint"),
    [
        ("stop", StepFailed, r"\(plugin chores\) raised ValueError at chores.py:\d+: first line$", "01-x.log"),
        ("refuse", DataError, "^pairs hold no answers$", "add answers"),
        ("exit", StepFailed, "ended its process", "traceback"),
        ("memory", StepFailed, "ran out of memory: no room for 7 GB", "smaller model"),
        ("full", StoreError, "disk full while running chore/misbehave: 100 B needed", "kistack store gc"),
        ("bad_fact", PluginError, "'count' is nan", "author"),
        ("text_fact", PluginError, "'count' is 'many'", "author"),
        ("no_facts", PluginError, "must return its outputs' facts, not int", "author"),
        ("other_output", PluginError, "facts of 'weights', which is no output", "author"),
        ("unknown_folder", PluginError, "output 'weights' that its traits do not name", "author"),
        ("unknown_port", StepFailed, "opens port 'index', which its traits do not say", "author"),
        ("empty", StepFailed, "left its output 'text' empty", "traceback"),
    ],
)
def test_what_goes_wrong_in_a_step_is_told_with_a_remedy(prepare, what, error, message, hint):
    told = run_job(prepare(what)).error
    assert type(told) is error
    assert re.search(message, told.message)
    assert hint in told.hint


def test_ctrl_c_in_a_step_is_a_wish_to_stop(prepare):
    outcome = run_job(prepare("interrupted"))
    assert isinstance(outcome.error, Cancelled)


def test_time_spent_before_a_kill_is_added(prepare):
    job = prepare("environment")
    job.scratch.mkdir(exist_ok=True)
    job.clock.write_text(json.dumps({"seconds": 100.0}))
    # Without checkpoints nothing was saved: the step starts anew.
    assert "resumed" not in run_job(job).measured
    job.clock.write_text(json.dumps({"seconds": 100.0}))
    (job.scratch / "checkpoint").write_text("x")
    measured = run_job(job).measured
    assert measured["resumed"] == 1
    assert 100 < measured["seconds"] < 130
    assert measured["scratch_bytes"] == 1


def test_the_clock_ticks_and_a_full_disk_does_not_stop_it(prepare, monkeypatch):
    monkeypatch.setattr(module, "_CLOCK_SECONDS", 0.05)
    job = prepare("spin", 0.3)
    run_job(job)
    assert json.loads(job.clock.read_text())["seconds"] > 0.2
    job.clock.unlink()
    monkeypatch.setattr("pathlib.Path.replace", _refuse)
    assert run_job(job).error is None
    assert not job.clock.exists()


def _refuse(*_):
    raise OSError(28, "No space left on device")


def test_a_scratch_that_another_process_holds_is_not_touched(prepare, monkeypatch):
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    job = prepare("environment")
    hold = f"import filelock; k = filelock.FileLock({str(job.lock)!r}); k.acquire(); print(1, flush=True); input()"
    holder = [sys.executable, "-c", hold]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        outcome = run_job(job)
        process.kill()
    assert isinstance(outcome.error, StoreError)
    assert "another process still works on chore/misbehave" in outcome.error.message


def test_settings_that_changed_since_are_told(prepare):
    job = prepare("environment")
    object.__setattr__(job, "settings", {"wrong": 1})
    outcome = run_job(job)
    assert isinstance(outcome.error, StepFailed)
    assert "ValidationError" in outcome.error.message
