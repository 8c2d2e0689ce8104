import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from test_runner import A, at_the_gate, write

from kistack.errors import InputError
from kistack.execution import events
from kistack.execution.detach import attach, cancel, follow, launch, list_runs, note_process, status_of
from kistack.execution.events import EventLog
from kistack.execution.runner import execute


def drive(root, run_dir, gate):
    from chores import pipeline

    from kistack.storage.store import Store

    print("driving")
    execute(pipeline(write(A, gate=gate), write("b" * 64)), Store(Path(root)), {}, Path(run_dir))


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    path.write_text("")
    return path


@pytest.fixture
def command(store, run_dir, gate):
    paths = [str(Path(__file__).parent), *sys.path]
    call = f"test_detach.drive({str(store.root)!r}, {str(run_dir)!r}, {str(gate)!r})"
    return [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; import test_detach; {call}"]


def wait_for_gate(run_dir):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(at_the_gate(e) for e in events.read_events(run_dir / "events.jsonl")):
            return
        time.sleep(0.02)
    raise AssertionError("the run did not get there")


def test_a_detached_run_is_listed_watched_and_ends(command, run_dir, gate):
    pid = launch(command, run_dir)
    assert os.getsid(pid) == pid
    wait_for_gate(run_dir)
    [status] = list_runs(run_dir.parent)
    assert (status.run, status.status, status.pid) == ("run-1", "running", pid)
    assert (status.done, status.total, status.use) == (0, 2, "chore/write")
    assert 0 < status.share < 1
    assert status.seconds > 0
    seen = []
    thread = threading.Thread(target=lambda: seen.append(attach(run_dir, seen.append, poll=0.02)))
    thread.start()
    gate.unlink()
    thread.join(30)
    assert seen[0].name == "run_started"
    assert seen[-2].name == "run_finished"
    assert seen[-1].status == "done"
    assert (seen[-1].done, seen[-1].total, seen[-1].use) == (2, 2, "")
    assert (run_dir / "log").read_text() == "driving\n"
    deadline = time.monotonic() + 20
    while status_of(run_dir).pid and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status_of(run_dir).status == "done"
    with pytest.raises(InputError, match="is not running: it is done"):
        cancel(run_dir)


def test_a_detached_run_is_cancelled(command, run_dir):
    launch(command, run_dir)
    wait_for_gate(run_dir)
    assert cancel(run_dir, wait=20).status == "cancelled"
    assert not (run_dir / "cancel").exists()


def test_a_run_that_was_killed_is_known_as_such(command, run_dir):
    pid = launch(command, run_dir)
    wait_for_gate(run_dir)
    os.kill(pid, 9)
    seen = []
    assert attach(run_dir, seen.append, poll=0.02).status == "killed"
    assert seen


def test_a_run_that_does_not_listen_is_signalled(run_dir):
    launch([sys.executable, "-c", "import time; time.sleep(600)"], run_dir)
    assert cancel(run_dir, wait=0.3).status == "killed"


def test_runs_that_never_were(tmp_path, run_dir):
    assert list_runs(tmp_path / "nothing") == []
    assert status_of(run_dir).status == "new"
    with pytest.raises(InputError, match="no run 'gone'"):
        attach(tmp_path / "gone", print)
    with pytest.raises(InputError, match="cannot be started"):
        launch([str(tmp_path / "no-such-program")], run_dir)


def test_a_run_of_another_machine_is_taken_at_its_word(run_dir):
    note_process(run_dir)
    document = json.loads((run_dir / "process.json").read_text())
    (run_dir / "process.json").write_text(json.dumps({**document, "machine": "elsewhere"}))
    assert status_of(run_dir).status == "running"
    EventLog(run_dir / "events.jsonl").write(events.RunFinished(run="run-1", status="failed", error="e"))
    assert (status_of(run_dir).status, status_of(run_dir).error) == ("failed", "e")


def test_a_resumed_run_counts_anew(run_dir):
    log = EventLog(run_dir / "events.jsonl")
    for _ in range(2):
        log.write(events.RunStarted(run="run-1", total=3))
        log.write(events.StepReused(key="a", use="x/y", index=1, total=3))
        log.write(events.StepStarted(key="b", use="x/z", index=2, total=3))
        log.write(events.Progress(key="b", done=1, total=4))
    status = status_of(run_dir)
    assert (status.done, status.total, status.use, status.share) == (1, 3, "x/z", 0.25)


def test_following_a_resumed_run_passes_over_its_first_end(run_dir):
    note_process(run_dir)
    log = EventLog(run_dir / "events.jsonl")
    for status in ("cancelled", "done"):
        log.write(events.RunStarted(run="run-1", total=1))
        log.write(events.RunFinished(run="run-1", status=status))
    assert [e.name for e in follow(run_dir)] == ["run_started", "run_finished"] * 2


@pytest.mark.speed
def test_listing_reads_long_runs_quickly(run_dir):
    log = EventLog(run_dir / "events.jsonl")
    log.write(events.RunStarted(run="run-1", total=1))
    log.write(events.StepStarted(key="b", use="x/z", index=1, total=1))
    line = events.to_line(events.Progress(key="b", done=1, total=4, unit="batches", numbers={"loss": 0.1}))
    with log.path.open("a") as file:
        file.write(line * 50_000)
    start = time.process_time()
    assert status_of(run_dir).share == 0.25
    assert time.process_time() - start < 0.5


def test_ctrl_c_in_a_terminal_reaches_the_runner_alone_and_ends_in_order(command, run_dir, store):
    process = subprocess.Popen(command, start_new_session=True)
    wait_for_gate(run_dir)
    os.killpg(process.pid, 2)
    assert process.wait(20) == 0
    assert status_of(run_dir).status == "cancelled"
    assert (store.scratch(A) / "checkpoint").read_text() == "3"
