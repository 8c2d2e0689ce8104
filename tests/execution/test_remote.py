"""Sessions of another environment: calls, errors, and every way in which one side may end."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import apart
import psutil
import pytest
import toys

from kistack.domain.artifacts import Artifact
from kistack.errors import InputError, ModelError, StepFailed
from kistack.execution.job import Remote
from kistack.execution.preparation import import_path
from kistack.execution.remote import RemoteIndex, RemoteModel, open_remote
from kistack.plugins.environments import this_interpreter
from kistack.plugins.sessions import Completion, IndexSession, LogLikelihood, ModelSession
from kistack.testing.rehearsal import RehearsedModel

HERE = this_interpreter(import_path())
MODEL = Remote.of(apart.ApartRuntime(), "apart", HERE)


def ask(text):
    return [{"role": "user", "content": text}]


@pytest.fixture
def artifact(tmp_path):
    toys.write_model(tmp_path, {"params": 10, "reads": False, "knows": {"Which?": "this"}})
    return Artifact("model", "toy-apart", tmp_path, "", "k")


@pytest.fixture
def session(artifact):
    with tempfile.TemporaryFile() as words:
        opened = open_remote(MODEL, {}, artifact, words)
        yield opened
        opened.close()


@pytest.fixture
def pid(session):
    return session._process.pid


def gone(pid):
    return not psutil.pid_exists(pid)


def test_the_four_calls_are_answered_as_by_the_session_itself(session):
    assert isinstance(session, RemoteModel)
    assert isinstance(session, ModelSession)
    done = []
    made = session.generate([ask("Which?"), ask("Who?")], max_new_tokens=4, batch=2, on_done=done.append)
    assert made == [Completion("this", 1, 1, 0.001), Completion("unknown", 1, 1, 0.001)]
    assert done == [1, 2]
    assert "".join(session.stream(ask("Say."), max_new_tokens=3)) == "0 1 2 "
    found = session.loglikelihood([("", "red"), (ask("Which?"), "this")])
    assert found == [LogLikelihood(-3.0, 0), LogLikelihood(-4.0, 1)]
    assert session.generate([], max_new_tokens=4) == []


def test_an_index_is_searched(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps([{"id": "a", "text": "red", "title": "A"}]))
    remote = Remote.of(toys.ToyRetrieve(), "toys", HERE)
    index = open_remote(remote, {"top_k": 1}, Artifact("index", "toy-index", tmp_path, "", "k"))
    assert isinstance(index, RemoteIndex)
    assert isinstance(index, IndexSession)
    [[passage], _] = index.search(["red?", "blue?"])
    assert (passage.id, passage.text, passage.title, passage.score) == ("a", "red", "A", 1.0)
    assert index.search([]) == []
    index.close()


def test_what_libraries_print_does_not_come_between(session):
    assert session.generate([ask("say")], max_new_tokens=1)[0].text == "unknown"


def test_errors_of_the_session_name_stage_and_plugin_and_harm_no_later_call(session):
    with pytest.raises(StepFailed) as caught:
        session.generate([ask("fail")], max_new_tokens=1)
    told = "runtime/apart (plugin apart): generate raised ValueError: no such token"
    assert caught.value.message == told
    with pytest.raises(
        ModelError, match=r"runtime/apart \(plugin apart\): a prompt of 9 tokens does not fit"
    ) as caught:
        session.generate([ask("refuse")], max_new_tokens=1)
    assert caught.value.hint == "ask less"
    assert session.generate([ask("Which?")], max_new_tokens=1)[0].text == "this"


def test_an_error_while_opening_leaves_no_process(artifact):
    before = set(psutil.Process().children())
    with pytest.raises(StepFailed, match=r"runtime/apart \(plugin apart\): open raised FileNotFoundError"):
        open_remote(MODEL, {}, dataclasses.replace(artifact, path=artifact.path / "none"))
    assert set(psutil.Process().children()) == before


def test_a_stream_that_is_left_early_stops_the_model(session):
    pieces = session.stream(ask("slowly"), max_new_tokens=1000)
    assert next(pieces) == "0 "
    pieces.close()
    session.generate([ask("how_far")], max_new_tokens=1)
    [told] = session.generate([ask("Question: how_far")], max_new_tokens=1)
    assert int(told.text) < 500


@pytest.mark.parametrize(
    ("what", "how", "remedy"),
    [
        ("vanish", "ended with status 7", "its last words: the library gave up"),
        ("killed", "was killed by signal 9", "perhaps out of memory"),
    ],
)
def test_a_process_that_ends_is_told_with_its_last_words(session, pid, what, how, remedy):
    with pytest.raises(StepFailed, match=f"runtime/apart \\(plugin apart\\): its process {how}") as caught:
        session.generate([ask(what)], max_new_tokens=1)
    assert remedy in caught.value.hint
    assert gone(pid)
    with pytest.raises(StepFailed, match="its session is closed"):
        session.generate([ask("Which?")], max_new_tokens=1)
    session.close()


def test_closing_closes_the_session_there_and_ends_its_process(artifact):
    model = {**toys.read_model(artifact.path), "close_into": str(artifact.path / "note")}
    toys.write_model(artifact.path, model)
    opened = open_remote(MODEL, {}, artifact)
    pid = opened._process.pid
    opened.close()
    assert (artifact.path / "note").read_text() == "closed"
    assert gone(pid)
    opened.close()
    with pytest.raises(StepFailed, match="its session is closed"):
        list(opened.stream(ask("Which?"), max_new_tokens=1))


def test_a_call_that_nobody_waits_for_ends_its_process(session, pid):
    def lose_patience(_count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.generate([ask("a"), ask("b")], max_new_tokens=1, on_done=lose_patience)
    assert gone(pid)


def test_closing_from_another_thread_ends_a_call_that_hangs(session, pid):
    timer = threading.Timer(0.3, lambda: os.kill(pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(StepFailed, match="killed by signal 9"):
        session.generate([ask("hang")], max_new_tokens=1)
    timer.join()


def test_it_outlives_nobody_who_is_killed(artifact):
    code = (
        "import sys; sys.path.extend(sys.argv[3:]); from pathlib import Path; import apart;"
        "from kistack.domain.artifacts import Artifact; from kistack.execution.job import Remote;"
        "from kistack.execution.remote import open_remote; from kistack.plugins.environments import this_interpreter;"
        "remote = Remote.of(apart.ApartRuntime(), 'apart', this_interpreter(sys.argv[3:]));"
        "s = open_remote(remote, {}, Artifact('model', 'toy-apart', Path(sys.argv[1]), '', 'k'));"
        "print(s._process.pid, flush=True);"
        "s.generate([[{'role': 'user', 'content': sys.argv[2]}]], max_new_tokens=1); input()"
    )
    for text in ("Which?", "hang"):
        asker = subprocess.Popen(
            [sys.executable, "-c", code, str(artifact.path), text, *import_path()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        pid = int(asker.stdout.readline())
        asker.kill()
        asker.wait()
        asker.stdin.close()
        asker.stdout.close()
        end = time.monotonic() + 5
        while not gone(pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert gone(pid), text


def test_a_python_that_is_gone_is_one_line(artifact, tmp_path):
    remote = dataclasses.replace(MODEL, interpreter=dataclasses.replace(HERE, python=str(tmp_path / "python")))
    with pytest.raises(StepFailed, match="no process can be started: No such file"):
        open_remote(remote, {}, artifact)


def test_without_its_environment_it_is_not_opened(environments):
    with pytest.raises(InputError, match="runtime/apart needs its environment 'apart'"):
        apart.APART.interpreter("runtime/apart", [])
    assert not environments.exists()


def test_a_stage_of_the_core_is_opened_there_too(artifact):
    remote = Remote.of(RehearsedModel(), "kistack", HERE)
    opened = open_remote(remote, {}, artifact)
    assert opened.generate([ask("say this")], max_new_tokens=1)[0].text == "this"
    opened.close()
    assert Path(remote.interpreter.python) == Path(sys.executable)
