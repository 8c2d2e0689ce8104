import chores
import pytest
from test_job import job

from kistack.domain.artifacts import Artifact, Opener
from kistack.errors import PluginError, StepFailed
from kistack.execution import context as module
from kistack.execution.context import WorkerContext
from kistack.execution.events import EventLog, read_events
from kistack.plugins.stages import Context


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "text").write_text("base")
    return Artifact("text", "txt", tmp_path / "base", "d", "k/text")


@pytest.fixture
def make(tmp_path):
    def context(**more):
        written = job(tmp_path, **more)
        return WorkerContext(written, EventLog(written.events))

    return context


def test_ports_hold_one_or_many(make, base):
    context: Context = make(inputs={"text": (base,), "many": (base, base), "none": ()})
    assert context.input("text") == base
    assert context.inputs("many") == (base, base)
    assert context.inputs("missing") == ()
    with pytest.raises(KeyError, match="holds 2"):
        context.input("many")
    with pytest.raises(KeyError, match="nothing at port"):
        context.input("missing")
    assert context.seed == 3


def test_outputs_are_those_of_the_traits(make, tmp_path):
    assert make().out("text") == tmp_path / "out"
    with pytest.raises(PluginError, match="'model' that its traits do not name"):
        make().out("model")


def test_a_session_is_opened_once_with_its_parts_and_closed(make, base, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "delta").write_text("delta")
    made = Artifact("text", "txt+adapter", adapter, "e", "l/text", requires=(base,), ports=("base",))
    closed = tmp_path / "closed"
    opener = Opener("chores:Reader", {"text": str(closed), "number": 1.0})
    context = make(inputs={"model": (made,)}, openers={"model": opener})
    assert context.open("model").text == "base+delta"
    assert context.open("model") is context.open("model")
    assert not closed.exists()
    context.close()
    assert closed.read_text() == "closed"
    assert read_events(tmp_path / "events")[-1].message == "closing 'model' raised RuntimeError: cannot close"
    with pytest.raises(StepFailed, match="opens port 'index'"):
        context.open("index")
    assert type(chores.Reader()).__name__ == "Reader"


def test_progress_is_told_now_and_then_and_at_the_end(make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PROGRESS_SECONDS", 60)
    context = make()
    for n in range(100):
        context.progress(n + 1, 100, "batches", loss=1)
    context.log("done")
    told = read_events(tmp_path / "events")
    assert [e.done for e in told[:-1]] == [1.0, 100.0]
    assert told[0].numbers == {"loss": 1.0}
    assert told[-1].message == "done"
