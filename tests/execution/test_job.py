import chores
import pytest

from kistack.domain.artifacts import Artifact, Opener
from kistack.errors import (
    Cancelled,
    DataError,
    InputError,
    PlanError,
    PluginError,
    Problem,
    StepFailed,
    StoreError,
)
from kistack.execution.job import Job, Outcome, Remote, error_from_json, error_to_json, load_stage, reference_of
from kistack.plugins.environments import Interpreter


def job(tmp_path, **more):
    artifact = Artifact("text", "txt", tmp_path / "a", "d", "k", facts={"count": 1.0})
    needs = Artifact("text", "x", tmp_path / "b", "e", "l", requires=(artifact,), ports=("base",))
    files = {n: tmp_path / n for n in ("scratch", "events", "log", "result", "clock", "lock")}
    settings = {
        "key": "k",
        "use": "chore/write",
        "plugin": "chores",
        "stage": "chores:Write",
        "settings": {"text": "x", "number": float("inf")},
        "inputs": {"text": (artifact, needs)},
        "openers": {"text": Opener("chores:Reader", {"text": ""})},
        "outs": {"text": tmp_path / "out"},
        "seed": 3,
        "env": {"A": "1"},
        "path": ("/x",),
        "remotes": {"text": Remote("x (plugin c)", "chores:Reader", Interpreter("python", ("/y",), apart=True))},
    }
    return Job(**{**files, **settings, **more})


def test_a_job_reads_back(tmp_path):
    written = job(tmp_path)
    written.write(tmp_path / "job.json")
    read = Job.read(tmp_path / "job.json")
    assert read == written
    assert read.inputs["text"][1].parts["base"].key == "k"


@pytest.mark.parametrize("text", ["", "{", '{"schema": 2}'])
def test_a_job_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "job.json").write_text(text)
    with pytest.raises(StoreError, match="not a job"):
        Job.read(tmp_path / "job.json")


@pytest.mark.parametrize(
    "error",
    [
        StepFailed("m", "h"),
        DataError("m", "h"),
        Cancelled("m"),
        PlanError("plan.yaml", [Problem("step 1", "wrong", "do this"), Problem("", "also wrong")]),
    ],
)
def test_errors_keep_their_class_text_and_remedy(tmp_path, error):
    Outcome({"text": {"count": 1.0}}, {"seconds": 2.0}, error).write(tmp_path / "r.json")
    back = Outcome.read(tmp_path / "r.json")
    assert (type(back.error), str(back.error), back.error.hint) == (type(error), str(error), error.hint)
    assert back.facts == {"text": {"count": 1.0}}
    assert getattr(back.error, "problems", ()) == getattr(error, "problems", ())


def test_an_error_is_told_with_its_step_once():
    assert str(error_from_json(error_to_json(StepFailed("broke")), "tune/x")) == "tune/x: broke"
    assert str(error_from_json(error_to_json(StepFailed("tune/x broke")), "tune/x")) == "tune/x broke"
    listed = error_from_json(error_to_json(PlanError("pairs", [Problem("", "bad")])), "tune/x")
    assert str(listed).startswith("tune/x: pairs: 1 problem")


def test_a_plugins_own_error_class_keeps_its_exit_code():
    class Mine(InputError):
        pass

    class Own(StepFailed):
        pass

    assert type(error_from_json(error_to_json(Mine("m", "h")))) is InputError
    assert type(error_from_json(error_to_json(Own("m", "h")))) is StepFailed


def test_no_result_is_no_outcome(tmp_path):
    assert Outcome.read(tmp_path / "none") is None
    Outcome().write(tmp_path / "r.json")
    assert Outcome.read(tmp_path / "r.json") == Outcome()


def test_stages_are_found_by_module_and_class():
    assert reference_of(chores.Write()) == "chores:Write"
    assert type(load_stage("chores:Write")) is chores.Write
    for wrong in ("no_such_module:X", "chores:Nothing"):
        with pytest.raises(PluginError, match="cannot be imported"):
            load_stage(wrong)
    with pytest.raises(PluginError, match="is not a stage"):
        load_stage("chores:Words")
