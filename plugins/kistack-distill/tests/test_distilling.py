import json

import pytest
import torch
from distill_toys import contents, record, write_model, write_pairs
from kistack_distill.response import ResponseDistiller
from kistack_distill.settings import ResponseSettings, TopKSettings
from kistack_torch.models import load_model

from kistack.domain.artifacts import Artifact
from kistack.errors import DataError, ModelError
from kistack.testing.context import LocalContext, run_stage

SETTINGS = ResponseSettings(epochs=4, learning_rate=5e-3, batch=4, dtype="fp32")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root = tmp_path_factory.mktemp("scene")
    teacher, pairs = write_model(root / "teacher"), write_pairs(root / "pairs")
    return {"teacher": teacher, "pairs": pairs, "signals": record(root / "signals", teacher, pairs)}


def _distill(root, scene, settings=SETTINGS, seed=2, ctx=LocalContext):
    context = ctx(root, scene, seed=seed)
    return run_stage(ResponseDistiller(), context, settings)["model"], context


def test_a_student_comes_nearer_to_its_teacher(tmp_path, scene):
    student, ctx = _distill(tmp_path, scene)
    facts = student.facts
    assert facts["kl_after"] < 0.5 * facts["kl_before"]
    assert facts["layers"] == 2
    assert facts["held_out"] == 8
    assert facts["examples"] == 32
    config = json.loads((student.path / "config.json").read_text())
    assert config["num_hidden_layers"] == 2
    held = contents(student.path)
    assert held["LICENSE"] == b"as you like"
    assert facts["bytes"] == sum(map(len, held.values()))
    model = load_model(student.path, dtype=torch.float32, device="cpu")
    assert facts["params"] == model.num_parameters()
    assert student.facets["precision"] == "bf16"
    from safetensors.torch import load_file

    assert {t.dtype for t in load_file(student.path / "model.safetensors").values()} == {torch.bfloat16}
    assert ctx.reports[-1]["loss"] < ctx.reports[0]["loss"]


def test_equal_work_gives_equal_bytes_wherever_it_is_done(tmp_path, scene):
    one, _ = _distill(tmp_path / "one", scene)
    teacher, pairs = write_model(tmp_path / "there" / "teacher"), write_pairs(tmp_path / "there" / "pairs")
    signals = record(tmp_path / "there" / "signals", teacher, pairs)
    other, _ = _distill(tmp_path / "other", {"teacher": teacher, "pairs": pairs, "signals": signals})
    third, _ = _distill(tmp_path / "third", scene, seed=3)
    assert contents(one.path) == contents(other.path)
    assert one.facts == other.facts
    assert contents(one.path) != contents(third.path)
    assert not [n for n, b in contents(one.path).items() if b"/pytest-" in b]


def test_a_stopped_distillation_ends_with_the_same_bytes(tmp_path, scene, monkeypatch):
    from kistack_torch import training

    monkeypatch.setattr(training, "_is_due", lambda step, *_: step % 5 == 0)
    settings = SETTINGS.model_copy(update={"dtype": "bf16"})
    whole, _ = _distill(tmp_path / "whole", scene, settings)

    class Stopping(LocalContext):
        def progress(self, *args, **numbers):
            super().progress(*args, **numbers)
            if len(self.reports) == 13:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _distill(tmp_path / "cut", scene, settings, ctx=Stopping)
    resumed, again = _distill(tmp_path / "cut", scene, settings)
    assert len(again.reports) == 32 - 10
    assert contents(resumed.path) == contents(whole.path)
    assert resumed.facts == whole.facts


@pytest.mark.parametrize(
    "changes", [{"positions": "answer"}, {"alpha": 1.0}, {"alpha": 0.0, "temperature": 2.0}, {"batch": 8}]
)
def test_every_setting_changes_the_student(tmp_path, scene, changes):
    plain, _ = _distill(tmp_path / "plain", scene, SETTINGS.model_copy(update={"epochs": 1}))
    other, _ = _distill(tmp_path / "other", scene, SETTINGS.model_copy(update={"epochs": 1, **changes}))
    assert contents(plain.path) != contents(other.path)


def test_a_given_student_is_taught(tmp_path, scene):
    given = write_model(tmp_path / "given", seed=5, layers=3)
    settings = SETTINGS.model_copy(update={"student": "given"})
    student, _ = _distill(tmp_path, {**scene, "model": given}, settings)
    assert student.facts["layers"] == 3
    assert student.facts["kl_after"] < student.facts["kl_before"]
    with pytest.raises(ModelError, match="the same model"):
        _distill(tmp_path / "same", {**scene, "model": scene["teacher"]}, settings)


def test_a_student_of_another_vocabulary_is_refused(tmp_path, scene):
    from kistack_torch.testing import tiny_model

    path = tiny_model(tmp_path / "other", texts=("entirely other words make other merges",) * 3)
    given = Artifact("model", "hf", path, "", "other")
    with pytest.raises(ModelError, match="vocabulary is not that of its teacher"):
        _distill(tmp_path, {**scene, "model": given}, SETTINGS.model_copy(update={"student": "given"}))


def test_signals_of_other_pairs_are_refused(tmp_path, scene):
    bare = write_pairs(tmp_path / "bare", passages=False)
    with pytest.raises(DataError, match="examples were not recorded"):
        _distill(tmp_path, {**scene, "pairs": bare})


def test_too_few_pairs_are_told(tmp_path, scene):
    few = write_pairs(tmp_path / "few", 20)
    with pytest.raises(DataError, match="20 usable pairs, at least 32"):
        _distill(tmp_path, {**scene, "pairs": few})


def test_fewer_tokens_kept_still_teach(tmp_path, scene):
    coarse = record(tmp_path / "coarse", scene["teacher"], scene["pairs"], TopKSettings(k=4, dtype="fp32"))
    student, _ = _distill(tmp_path, {**scene, "signals": coarse})
    assert student.facts["kl_after"] < student.facts["kl_before"]
