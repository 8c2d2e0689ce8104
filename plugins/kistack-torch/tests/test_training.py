import math
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from kistack_torch import devices, models
from kistack_torch.batching import Example
from kistack_torch.testing import tiny_model
from kistack_torch.training import CompletionLoss, TrainingOptions, _is_due, choose_attention, train

from kistack.errors import StepFailed
from kistack.testing.context import LocalContext


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), layers=2)


def _examples(count=21):
    return [
        Example(tuple(5 + (i * 7 + j * (i + 3)) % 250 for j in range(6 + i % 9)), 3 + i % 3, str(i))
        for i in range(count)
    ]


OPTIONS = TrainingOptions(learning_rate=1e-2, epochs=3, seed=5, batch=4, batch_tokens=48, checkpoint_steps=2)


class _Stop(Exception):
    pass


class _Context(LocalContext):
    """Stops like a kill would, after so many reports."""

    stop_after = math.inf

    def progress(self, done, total, unit="", **numbers):
        super().progress(done, total, unit, **numbers)
        if len(self.reports) >= self.stop_after:
            raise _Stop


def _train(folder, ctx, options=OPTIONS, dtype=torch.float32, objective=None, dropout=0.0):
    devices.set_deterministic(options.seed)
    torch.set_num_threads(1)  # sums this small only lose time to threads
    model = models.load_model(folder, dtype=dtype, device="cpu")
    if dropout:
        model.config.attention_dropout = dropout
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = dropout
    result = train(model, _examples(), objective or CompletionLoss(), options, ctx, pad=0)
    return {n: p.detach().clone() for n, p in model.named_parameters()}, result


def _same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_twice_gives_the_same_bytes(folder, tmp_path, dtype):
    one, first = _train(folder, LocalContext(tmp_path / "1"), dtype=dtype)
    two, _ = _train(folder, LocalContext(tmp_path / "2"), dtype=dtype)
    other, _ = _train(folder, LocalContext(tmp_path / "3"), dtype=dtype, options=_with(seed=6))
    assert _same(one, two)
    assert not _same(one, other)
    assert first.losses[-1] < first.losses[0]


def _with(**changes):
    shown = {name: getattr(OPTIONS, name) for name in OPTIONS.__slots__}
    return TrainingOptions(**{**shown, **changes})


@pytest.mark.parametrize("stop_after", [1, 2, 5, 11, 17, 18])
def test_a_stopped_training_ends_with_the_same_bytes(folder, tmp_path, stop_after):
    straight, whole = _train(folder, LocalContext(tmp_path / "straight"), dropout=0.2, dtype=torch.bfloat16)
    ctx = _Context(tmp_path / "stopped")
    ctx.stop_after = stop_after
    with pytest.raises(_Stop):
        _train(folder, ctx, dropout=0.2, dtype=torch.bfloat16)
    again = LocalContext(tmp_path / "stopped")
    resumed, result = _train(folder, again, dropout=0.2, dtype=torch.bfloat16)
    assert _same(straight, resumed)
    assert result.losses == whole.losses
    assert result.resumed == (stop_after - 1) // 2 * 2
    assert again.reports[-1]["done"] == again.reports[-1]["total"] == result.tokens


def test_a_killed_process_ends_with_the_same_bytes(folder, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            sys.path.insert(0, sys.argv[3])
            from pathlib import Path
            import torch
            import test_training as t
            class Ctx(t.LocalContext):
                def progress(self, *args, **numbers):
                    super().progress(*args, **numbers)
                    if len(self.reports) == 9:
                        os.kill(os.getpid(), signal.SIGKILL)
            t._train(Path(sys.argv[1]), Ctx(Path(sys.argv[2])), dtype=torch.bfloat16)
            """
        )
    )
    here = str(Path(__file__).parent)
    ended = subprocess.run(
        [sys.executable, script, folder, tmp_path / "killed", here], check=False, capture_output=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    straight, _ = _train(folder, LocalContext(tmp_path / "straight"), dtype=torch.bfloat16)
    resumed, result = _train(folder, LocalContext(tmp_path / "killed"), dtype=torch.bfloat16)
    assert result.resumed == 8
    assert _same(straight, resumed)


def test_how_a_step_is_cut_does_not_change_it(folder, tmp_path):
    small, _ = _train(folder, LocalContext(tmp_path / "small"), options=_with(batch_tokens=24, epochs=1))
    large, _ = _train(folder, LocalContext(tmp_path / "large"), options=_with(batch_tokens=4096, epochs=1))
    for name, weights in small.items():
        assert torch.allclose(weights, large[name], atol=2e-5), name


def test_the_loss_is_that_of_transformers_on_answers_only(folder, tmp_path):
    examples = _examples(4)
    devices.set_deterministic(0)
    torch.set_num_threads(1)
    model = models.load_model(folder, dtype=torch.float32, device="cpu")
    width = max(len(e) for e in examples)
    ids = torch.zeros(4, width, dtype=torch.long)
    labels = torch.full((4, width), -100)
    for line, e in enumerate(examples):
        ids[line, : len(e)] = torch.tensor(e.ids)
        labels[line, e.prompt : len(e)] = torch.tensor(e.ids[e.prompt :])
    mask = (torch.arange(width)[None] < torch.tensor([[len(e)] for e in examples])).long()
    reference = float(model(input_ids=ids, attention_mask=mask, labels=labels).loss.detach())
    result = train(model, examples, CompletionLoss(), _with(epochs=1, batch_tokens=4096), LocalContext(tmp_path), pad=0)
    assert result.losses == pytest.approx((reference,), rel=1e-5)
    assert result.tokens == sum(len(e) for e in examples)


def test_prompts_can_be_learned_too(folder, tmp_path):
    answers, one = _train(folder, LocalContext(tmp_path / "1"), options=_with(epochs=1))
    everything, two = _train(
        folder, LocalContext(tmp_path / "2"), options=_with(epochs=1), objective=CompletionLoss(everywhere=True)
    )
    assert one.losses != two.losses
    assert not _same(answers, everything)


def test_recomputing_activations_changes_memory_not_the_result(folder, tmp_path):
    plain, _ = _train(folder, LocalContext(tmp_path / "1"), options=_with(epochs=1))
    recomputed, _ = _train(folder, LocalContext(tmp_path / "2"), options=_with(epochs=1, recompute=True))
    for name, weights in plain.items():
        assert torch.allclose(weights, recomputed[name], atol=1e-5), name


def test_a_loss_that_is_no_number_stops_it(folder, tmp_path):
    class Broken(CompletionLoss):
        def backward(self, model, batch, totals):
            super().backward(model, batch, totals)
            return math.nan

    with pytest.raises(StepFailed, match="loss is not a finite number at optimizer step 1 of 18") as caught:
        _train(folder, LocalContext(tmp_path), objective=Broken())
    assert "learning_rate" in caught.value.hint


def test_a_checkpoint_of_other_data_or_settings_is_not_continued(folder, tmp_path):
    ctx = _Context(tmp_path)
    ctx.stop_after = 7
    with pytest.raises(_Stop):
        _train(folder, ctx)
    _, result = _train(folder, LocalContext(tmp_path), options=_with(learning_rate=2e-2))
    assert result.resumed == 0


def test_progress_has_loss_and_rate(folder, tmp_path):
    ctx = LocalContext(tmp_path)
    _train(folder, ctx)
    assert {r["unit"] for r in ctx.reports} == {"tokens"}
    assert all(math.isfinite(r["loss"]) and r["tokens_per_second"] > 0 for r in ctx.reports)
    assert [r["done"] for r in ctx.reports] == sorted(r["done"] for r in ctx.reports)


def test_short_texts_train_with_plain_attention_on_a_cpu(folder):
    model = models.load_model(folder, dtype=torch.float32, device="cpu")
    assert choose_attention(model, 512) == "eager"
    assert model.config._attn_implementation == "eager"
    assert choose_attention(model, 513) == "sdpa"
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(("longest", "expected"), [(60.0, [3, 6, 12, 24, 48, 96, 156, 216]), (2.0, [2, 4, 6, 8])])
def test_a_young_training_saves_sooner(longest, expected):
    options = _with(checkpoint_steps=0, checkpoint_seconds=longest)
    saved = [0]
    for now in range(1, expected[-1] + 1):
        if _is_due(now, now - saved[-1], now, options):
            saved.append(now)
    assert saved[1:] == expected
    assert not _is_due(7, 1e9, 1e9, _with(checkpoint_steps=0, checkpoint_seconds=0.0), cost=1.0)
    assert not _is_due(7, 70, 1e4, options, cost=5.0)  # large checkpoints are written less often
    assert _is_due(7, 110, 1e4, options, cost=5.0)
