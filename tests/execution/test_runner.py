import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import chores
import psutil
import pytest
from chores import given, node, of, pipeline

from kistack.errors import Cancelled, DataError, InputError, PluginError, StepFailed, StoreError
from kistack.execution import events
from kistack.execution.events import read_events
from kistack.execution.runner import execute
from kistack.execution.supervision import Limits
from kistack.plugins.stages import Need
from kistack.storage.store import Store

A, B, C, D = (letter * 64 for letter in "abcd")
W = chores.Words


def write(key=A, text="hello", gate="", **more):
    return node(chores.Write(), key, W(text=text, fact=3, gate=str(gate)), **more)


def bad(what, number=0.0, key=B, stage=chores.Misbehave, **more):
    return node(stage(), key, W(text=what, number=number), **more)


def text_of(execution, key=A, out="text"):
    return (execution.artifacts[f"{key}/{out}"].path / "text").read_text()


def names(run_dir):
    return [e.name for e in read_events(run_dir / "events.jsonl") if e.name not in {"progress", "log"}]


class Host:
    """A plugin host of which one plugin raises."""

    def __init__(self, *stages):
        self.stages = {s.name: s for s in stages}
        self.calls = []

    def get(self, name):
        return type("Entry", (), {"stage": self.stages[name]})()

    def call(self, hook, **arguments):
        self.calls.append((hook, arguments))
        return ["plugin tracker: ValueError: no server"] if hook == "kistack_before_step" else []


# --- the good case


def test_steps_run_in_order_and_are_recorded(store, run_dir):
    source = store.put("text", "txt", lambda f: (f / "text").write_text("given "), "texts/1", facts={"count": 9})
    first = write(inputs={"text": given("text", "texts/1")}, seed=7)
    second = write(B, "two", inputs={"text": of(first)}, costs={"seconds": 2.0, "peak_bytes": 5e7}, auto=True)
    host, seen = Host(), []
    done = execute(pipeline(first, second), store, {"texts/1": source}, run_dir, hooks=host, on_event=seen.append)
    assert done.require() is done
    assert done.status == "done"
    assert done.run == "run-1"
    assert text_of(done, B) == "given hello|7two|0"
    artifact = done.artifacts[f"{A}/text"]
    assert artifact.facts == {"count": 3.0, "bytes": 13.0}
    assert artifact.facets == {"content": "answers"}
    assert artifact.parents == (source.digest,)
    record = done.steps[1]
    assert (record.use, record.status, record.plugin, record.auto, record.version) == (
        "chore/write",
        "done",
        "chores",
        True,
        "1",
    )
    assert record.predicted == {"seconds": 2.0, "peak_bytes": 5e7, "bytes": 100.0}
    assert record.facts == {"text.count": 3.0, "text.bytes": 13.0}
    assert record.results == {"text.count": 3.0, "text.bytes": 18.0}
    assert record.settings == {"text": "two", "number": 0.0, "fact": 3.0, "gate": ""}
    assert record.outputs == {"text": done.artifacts[f"{B}/text"].digest}
    assert record.measured["bytes"] == len("given hello|7two|0")
    assert 0 < record.measured["seconds"] < 20
    assert 10e6 < record.measured["peak_bytes"] < 200e6
    assert "resumed" not in record.measured
    assert [h for h, _ in host.calls] == ["kistack_before_step", "kistack_after_step"] * 2
    assert host.calls[1][1]["record"]["measured"] == done.steps[0].measured
    assert names(run_dir) == [
        "run_started",
        *["step_started", "warning", "step_done"] * 2,
        "run_finished",
    ]
    assert [e.name for e in seen if e.name not in {"progress", "log"}] == names(run_dir)
    progress = [e for e in seen if isinstance(e, events.Progress)]
    assert progress[-1].done == progress[-1].total == 10
    assert progress[-1].numbers == {"loss": 0.1}
    assert "wrote after 0" in [e.message for e in seen if isinstance(e, events.LogLine)]
    assert not list((store.root / "scratch").iterdir())
    assert not list((store.root / "tmp").iterdir())
    assert not list((store.root / "pins").iterdir())


def test_the_second_run_does_nothing(store, run_dir, tmp_path):
    plan = pipeline(write(), bad("environment"))
    first = execute(plan, store, {}, run_dir)
    second = execute(plan, Store(store.root), {}, tmp_path / "runs" / "run-2")
    assert [s.status for s in second.steps] == ["reused", "reused"]
    assert second.steps[0].measured == first.steps[0].measured
    assert second.artifacts == first.artifacts
    assert names(tmp_path / "runs" / "run-2") == ["run_started", "step_reused", "step_reused", "run_finished"]
    assert not (tmp_path / "runs" / "run-2" / "logs" / "worker.log").exists()
    third = execute(plan, store, {}, tmp_path / "runs" / "run-3", fresh=True)
    assert [s.status for s in third.steps] == ["done", "done"]
    assert third.artifacts[f"{A}/text"].digest == first.artifacts[f"{A}/text"].digest


def test_artifacts_are_opened_with_what_travels_with_them(store, run_dir, tmp_path):
    base = write(text="base")
    adapter = node(chores.Adapter(), B, inputs={"base": of(base)})
    closed = tmp_path / "closed"
    opener = {"model": ("runtime/reader", {"text": str(closed), "number": 1.0})}
    use = node(chores.Use(), C, inputs={"model": of(adapter)}, openers=opener)
    plain = node(chores.Use(), D, inputs={"model": of(base)}, openers={"model": ("runtime/reader", {})})
    done = execute(pipeline(base, adapter, use, plain), store, {}, run_dir, hooks=Host(chores.Reader())).require()
    assert text_of(done, C, "seen") == "base|0+delta"
    assert text_of(done, D, "seen") == "base|0"
    made = done.artifacts[f"{B}/text"]
    assert made.requires == (done.artifacts[f"{A}/text"],)
    assert made.ports == ("base",)
    # The text's own number was taken over, its bytes were not.
    assert made.facts == {"count": 3.0, "bytes": 5.0}
    assert closed.read_text() == "closed"
    logs = [e.message for e in read_events(run_dir / "events.jsonl") if isinstance(e, events.LogLine)]
    assert "closing 'model' raised RuntimeError: cannot close" in logs


def test_a_port_may_hold_many(store, run_dir):
    first, second = write(A, "1"), write(B, "2")
    both = node(chores.Paired(), C, W(text="3"), inputs={"text": [of(first), of(second)]})
    assert text_of(execute(pipeline(first, second, both), store, {}, run_dir).require(), C) == "1|02|03|0"


def test_an_opener_without_a_host_or_a_class_out_of_reach_is_refused(store, run_dir):
    class Hidden(chores.Write):
        pass

    with pytest.raises(PluginError, match="cannot be run in a worker") as caught:
        execute(pipeline(node(Hidden(), A)), store, {}, run_dir).require()
    assert "top level of a module" in caught.value.hint
    base = write()
    use = node(chores.Use(), C, inputs={"model": of(base)}, openers={"model": ("runtime/reader", {})})
    with pytest.raises(PluginError, match="no plugin host"):
        execute(pipeline(base, use), store, {}, run_dir).require()


# --- workers


def test_the_worker_is_offline_deterministic_and_light(store, run_dir):
    plan = pipeline(bad("environment", key=A), bad("environment", key=B, stage=chores.Online))
    done = execute(plan, store, {}, run_dir, limits=Limits(threads=1)).require()
    assert text_of(done, A) == "OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONHASHSEED=0"
    assert "HF_HUB_OFFLINE= " in text_of(done, B)
    assert (done.artifacts[f"{A}/text"].path / "torch").read_text() == "[]"
    assert done.steps[0].measured["threads"] == 1


def test_light_steps_share_a_worker_and_heavy_ones_do_not(store, run_dir):
    heavy = [bad("environment", key=k, stage=chores.Heavy) for k in (C, D)]
    light = [bad("environment", 0.0, key=A), bad("environment", 0.0, key=B)]
    done = execute(pipeline(*light, *heavy), store, {}, run_dir).require()
    pids = [(done.artifacts[f"{k}/text"].path / "pid").read_text() for k in (A, B, C, D)]
    assert pids[0] == pids[1]
    assert len(set(pids)) == 3


def test_nothing_a_stage_prints_gets_in_the_way(store, run_dir, capfd):
    plan = pipeline(bad("say", key=A), write(B))
    execute(plan, store, {}, run_dir).require()
    log = (run_dir / "logs" / "01-chore-misbehave.log").read_text()
    for line in ("on standard output", "on standard error", "below python", "from a child"):
        assert line in log
    assert capfd.readouterr() == ("", "")


def test_peak_memory_is_of_the_step_alone_and_counts_what_it_starts(store, run_dir):
    size = 150e6
    plan = pipeline(bad("eat", size, key=A), write(B), bad("child_eats", size, key=C))
    done = execute(plan, store, {}, run_dir, limits=Limits(sample_seconds=0.2)).require()
    peaks = [s.measured["peak_bytes"] for s in done.steps]
    assert peaks[0] > size
    assert peaks[1] < size
    assert peaks[2] > size


# --- failures


@pytest.mark.parametrize(
    ("what", "error", "message", "hint"),
    [
        (
            "stop",
            StepFailed,
            r"chore/misbehave \(plugin chores\) raised ValueError at chores.py:\d+: first line$",
            "log",
        ),
        ("refuse", DataError, "chore/misbehave: pairs hold no answers", "add answers"),
        ("vanish", StepFailed, "ended with status 7", "last words"),
        ("crash", StepFailed, r"killed by signal 11 \(SIGSEGV\)", "a library crashed"),
        ("killed", StepFailed, r"killed by signal 9 \(SIGKILL\)", "out of memory .* free now, 50 MB predicted"),
        ("full", StoreError, "disk full while running chore/misbehave: 100 B needed", "kistack store gc"),
    ],
)
def test_a_step_that_fails_is_named_and_leaves_nothing_half_done(store, run_dir, what, error, message, hint):
    host = Host()
    plan = pipeline(write(A), bad(what, costs={"peak_bytes": 5e7}), write(C))
    done = execute(plan, store, {}, run_dir, hooks=host)
    assert done.status == "failed"
    assert [s.status for s in done.steps] == ["done", "failed"]
    with pytest.raises(error, match=message) as caught:
        done.require()
    assert re.search(hint, caught.value.hint)
    assert type(caught.value) is error
    assert done.steps[1].error == caught.value.message
    assert store.lookup(A) is not None
    assert store.lookup(B) is None
    assert not list((store.root / "tmp").iterdir())
    assert host.calls[-1] == (
        "kistack_step_failed",
        {"run": "run-1", "use": "chore/misbehave", "key": B, "error": caught.value.message},
    )
    last = read_events(run_dir / "events.jsonl")[-1]
    assert (last.status, last.error) == ("failed", caught.value.message)


def test_the_whole_traceback_is_in_the_log(store, run_dir):
    execute(pipeline(bad("stop")), store, {}, run_dir)
    log = (run_dir / "logs" / "01-chore-misbehave.log").read_text()
    assert "Traceback" in log
    assert "second line" in log
    execute(pipeline(bad("crash")), store, {}, run_dir)
    assert "Segmentation fault" in (run_dir / "logs" / "01-chore-misbehave.log").read_text()


def test_a_forked_child_does_not_speak_for_the_worker(store, run_dir):
    done = execute(pipeline(bad("fork"), write(C)), store, {}, run_dir).require()
    assert [s.status for s in done.steps] == ["done", "done"]


def test_what_a_step_leaves_running_ends_with_its_worker(store, run_dir):
    done = execute(pipeline(bad("orphan")), store, {}, run_dir).require()
    logs = [e.message for e in read_events(run_dir / "events.jsonl") if isinstance(e, events.LogLine)]
    child = int(logs[0].split()[1])
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
    assert done.status == "done"


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_step_that_hangs_is_ended_and_shows_where(store, run_dir):
    start = time.monotonic()
    limits = Limits(idle_seconds=1.0, sample_seconds=0.3)
    with pytest.raises(StepFailed, match="did nothing for 1 s"):
        execute(pipeline(bad("hang")), store, {}, run_dir, limits=limits).require()
    assert time.monotonic() - start < 20
    log = (run_dir / "logs" / "01-chore-misbehave.log").read_text()
    assert "in hang" in log


def test_work_without_a_word_is_no_hang_until_it_is_too_long(store, run_dir):
    limits = Limits(idle_seconds=0.8, sample_seconds=0.2)
    assert execute(pipeline(bad("spin", 1.5)), store, {}, run_dir, limits=limits).status == "done"
    limits = Limits(silent_seconds=1.0, sample_seconds=0.3)
    with pytest.raises(StepFailed, match="said nothing for 1 s"):
        execute(pipeline(bad("spin", 60, key=C)), store, {}, run_dir, limits=limits).require()


def test_a_measurement_that_fails_costs_its_own_number_only(store, run_dir):
    first = bad("stop", key=A, purpose="evaluation")
    reads = write(B, inputs={"text": of(first)}, purpose="evaluation")
    done = execute(pipeline(first, reads, write(C)), store, {}, run_dir).require()
    assert [(s.key, s.status) for s in done.steps] == [(A, "failed"), (C, "done")]


def test_needs_are_checked_on_what_was_really_made(store, run_dir):
    first = write()
    more = chores.Write().traits(None)
    needy = type(more)(
        consumes=more.consumes,
        produces=more.produces,
        needs=(
            Need(fact="count", at_least=8, port="text", hint="label more"),
            Need(fact="unknown", at_least=1, port="text"),
        ),
    )
    plan = pipeline(first, write(B, traits=needy, inputs={"text": of(first)}))
    with pytest.raises(StepFailed, match=r"needs at least 8 \(count\) at 'text', what was made has 3") as caught:
        execute(plan, store, {}, run_dir).require()
    assert caught.value.hint == "label more"


def test_a_disk_without_room_is_noticed_before_the_step(store, run_dir, monkeypatch):
    huge = write(made=1e18)
    with pytest.raises(StoreError, match="disk full while about to run chore/write: 1000000 TB needed"):
        execute(pipeline(huge), store, {}, run_dir).require()
    assert not (run_dir / "logs" / "worker.log").exists()


def test_a_damaged_artifact_is_made_again_with_a_warning(store, run_dir, tmp_path):
    plan = pipeline(write(), write(B))
    first = execute(plan, store, {}, run_dir).require()
    artifact = first.artifacts[f"{A}/text"]
    (artifact.path / "text").write_text("damaged")
    seen = []
    second = execute(plan, store, {}, tmp_path / "runs" / "run-2", on_event=seen.append).require()
    assert [s.status for s in second.steps] == ["done", "reused"]
    assert second.artifacts[f"{A}/text"].digest == artifact.digest
    warnings = [e.message for e in seen if isinstance(e, events.Warned)]
    assert any("damaged: text has changed" in w for w in warnings)


def test_a_missing_input_or_a_run_in_use_is_refused(store, run_dir):
    first = write(inputs={"text": given("text", "texts/1")})
    with pytest.raises(InputError, match="no input 'texts/1'"):
        execute(pipeline(first), store, {}, run_dir)
    outcome = []

    def again(event):
        if event.name == "step_started":
            thread = threading.Thread(target=lambda: outcome.append(raised(store, run_dir)))
            thread.start()
            thread.join()

    execute(pipeline(write()), store, {}, run_dir, on_event=again).require()
    assert "is running already" in outcome[0]


def raised(store, run_dir):
    try:
        execute(pipeline(write()), store, {}, run_dir)
    except InputError as error:
        return error.message
    return ""


def test_a_system_without_room_for_a_worker_is_told(store, run_dir, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("kistack.execution.supervision.subprocess.Popen", refuse)
    with pytest.raises(StepFailed, match="no worker process can be started: Cannot allocate memory"):
        execute(pipeline(write()), store, {}, run_dir).require()


def test_a_broken_display_or_tracker_does_not_end_the_run(store, run_dir):
    class Broken(Host):
        def call(self, hook, **arguments):
            raise RuntimeError("no tracker")

    def display(event):
        raise ValueError("no terminal")

    done = execute(pipeline(write()), store, {}, run_dir, hooks=Broken(), on_event=display).require()
    warnings = [e.message for e in read_events(run_dir / "events.jsonl") if isinstance(e, events.Warned)]
    assert warnings[0] == "the display of progress raised ValueError: no terminal"
    assert "kistack_before_step raised RuntimeError: no tracker" in warnings
    assert done.status == "done"


# --- stopping and going on


def stop_when(run_dir, happens, act):
    def watch():
        reader = events.EventReader(run_dir / "events.jsonl")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if any(happens(e) for e in reader.read()):
                act()
                return
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def at_the_gate(event):
    return isinstance(event, events.LogLine) and event.message == "at the gate"


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate"
    path.write_text("")
    return path


@pytest.mark.parametrize("way", ["ctrl-c", "sigterm", "file", "callable"])
def test_a_run_that_is_stopped_keeps_what_is_finished_and_goes_on(store, run_dir, way, gate):
    plan = pipeline(write(A), write(B, gate=gate), write(C))
    flag = []
    acts = {
        "ctrl-c": lambda: os.kill(os.getpid(), signal.SIGINT),
        "sigterm": lambda: os.kill(os.getpid(), signal.SIGTERM),
        "file": lambda: (run_dir / "cancel").write_text(""),
        "callable": lambda: flag.append(1),
    }
    watcher = stop_when(run_dir, at_the_gate, acts[way])
    done = execute(plan, store, {}, run_dir, cancelled=lambda: bool(flag))
    watcher.join()
    assert done.status == "cancelled"
    assert isinstance(done.error, Cancelled)
    assert [s.status for s in done.steps] == ["done", "cancelled"]
    assert read_events(run_dir / "events.jsonl")[-1].status == "cancelled"
    assert not (run_dir / "cancel").exists()
    assert not list((store.root / "tmp").iterdir())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # Its finished work is pinned, so that gc leaves it for the run that goes on.
    store.gc()
    gate.unlink()
    again = execute(plan, store, {}, run_dir).require()
    assert [s.status for s in again.steps] == ["reused", "done", "done"]
    assert again.steps[1].measured["resumed"] == 1
    logs = [e.message for e in read_events(run_dir / "events.jsonl") if isinstance(e, events.LogLine)]
    assert logs == ["wrote after 0", "at the gate", "wrote after 3", "wrote after 0"]


def test_a_deaf_worker_is_killed(store, run_dir):
    def deaf(event):
        return isinstance(event, events.LogLine) and event.message == "deaf now"

    watcher = stop_when(run_dir, deaf, lambda: (run_dir / "cancel").write_text(""))
    done = execute(pipeline(bad("deaf")), store, {}, run_dir, limits=Limits(grace_seconds=0.3))
    watcher.join()
    assert done.status == "cancelled"


def test_an_old_wish_to_stop_is_not_meant_for_this_run(store, run_dir):
    (run_dir / "cancel").write_text("")
    os.utime(run_dir / "cancel", (1, 1))
    assert execute(pipeline(write()), store, {}, run_dir).status == "done"


def drive(root, run_dir, gate):
    """Run a plan in a process of its own."""
    plan = pipeline(write(A), write(B, gate=gate), write(C))
    done = execute(plan, Store(Path(root)), {}, Path(run_dir))
    answer = {"status": [s.status for s in done.steps], "digests": [dict(s.outputs) for s in done.steps]}
    (Path(run_dir) / "answer.json").write_text(json.dumps(answer))


def spawn(store, run_dir, gate):
    run_dir.mkdir(parents=True, exist_ok=True)
    paths = [str(Path(__file__).parent), *sys.path]
    call = f"test_runner.drive({str(store.root)!r}, {str(run_dir)!r}, {str(gate)!r})"
    return subprocess.Popen([sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; import test_runner; {call}"])


def wait_for(run_dir, happens):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if any(happens(event) for event in read_events(run_dir / "events.jsonl")):
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_kill_9_of_the_runner_leaves_no_worker_and_resumes_to_the_same_digests(store, run_dir, tmp_path, gate):
    process = spawn(store, run_dir, gate)
    wait_for(run_dir, at_the_gate)
    [worker] = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while alive(worker.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(worker.pid)
    assert (store.scratch(B) / "checkpoint").read_text() == "3"
    gate.unlink()
    again = execute(pipeline(write(A), write(B, gate=gate), write(C)), store, {}, run_dir).require()
    assert [s.status for s in again.steps] == ["reused", "done", "done"]
    assert again.steps[1].measured["resumed"] == 1
    logs = [e.message for e in read_events(run_dir / "events.jsonl") if isinstance(e, events.LogLine)]
    assert logs == ["wrote after 0", "at the gate", "wrote after 3", "wrote after 0"]
    undisturbed = execute(
        pipeline(write(A), write(B), write(C)), Store(tmp_path / "other"), {}, tmp_path / "runs" / "run-2"
    ).require()
    assert [s.outputs for s in again.steps] == [s.outputs for s in undisturbed.steps]


def test_kill_9_of_the_worker_is_told_and_the_same_call_goes_on(store, run_dir, gate):
    def kill():
        [worker] = [p for p in psutil.Process().children() if "kistack.execution.worker" in " ".join(p.cmdline())]
        worker.kill()

    plan = pipeline(write(A, gate=gate))
    watcher = stop_when(run_dir, at_the_gate, kill)
    done = execute(plan, store, {}, run_dir)
    watcher.join()
    with pytest.raises(StepFailed, match=r"chore/write \(plugin chores\): its process was killed by signal 9"):
        done.require()
    assert "goes on from the last checkpoint" in done.error.hint
    gate.unlink()
    again = execute(plan, store, {}, run_dir).require()
    assert again.steps[0].measured["resumed"] == 1


def test_two_runs_on_one_store_share_the_work(store, run_dir, tmp_path, gate):
    other_dir = tmp_path / "runs" / "run-2"
    process = spawn(store, other_dir, gate)
    wait_for(other_dir, at_the_gate)
    seen = []

    def display(event):
        seen.append(event)
        if isinstance(event, events.LogLine) and "waiting for another run" in event.message:
            gate.unlink()

    plan = pipeline(write(A), write(B, gate=gate))
    mine = execute(plan, store, {}, run_dir, on_event=display).require()
    assert process.wait(30) == 0
    other = json.loads((other_dir / "answer.json").read_text())
    assert other["status"] == ["done", "done", "done"]
    assert [s.status for s in mine.steps] == ["reused", "reused"]
    assert other["digests"][:2] == [s.outputs for s in mine.steps]
    assert not gate.exists()


def test_a_run_that_waits_for_another_can_be_stopped(store, run_dir):
    with store.lock(A):
        done = []
        flag = []
        thread = threading.Thread(
            target=lambda: done.append(execute(pipeline(write()), store, {}, run_dir, cancelled=lambda: bool(flag)))
        )
        thread.start()
        wait_for(run_dir, lambda e: isinstance(e, events.LogLine))
        flag.append(1)
        thread.join(20)
    assert done[0].status == "cancelled"


def test_importing_the_runner_is_light():
    code = (
        "import sys, kistack.execution.runner, kistack.execution.worker, kistack.execution.detach;"
        "print([m for m in ('torch', 'transformers', 'numpy', 'lancedb', 'textual', 'rich') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
