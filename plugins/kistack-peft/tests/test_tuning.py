import json

import pytest
import torch
from kistack_peft.lora import LoraTuner
from kistack_peft.settings import LoraSettings
from kistack_torch.models import load_model
from peft_toys import contents, write_model, write_pairs

from kistack.errors import DataError, ModelError
from kistack.testing.context import LocalContext, run_stage

SETTINGS = LoraSettings(rank=4, alpha=8, epochs=2, learning_rate=1e-2, batch=4, dtype="fp32")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def _tune(root, base, pairs, settings=SETTINGS, seed=3):
    ctx = LocalContext(root, {"model": base, "pairs": pairs}, seed=seed)
    return run_stage(LoraTuner(), ctx, settings)["model"], ctx


def test_an_adapter_is_left_that_changes_what_the_model_says(tmp_path, base, pairs):
    adapter, ctx = _tune(tmp_path, base, pairs)
    assert adapter.format == "hf+peft"
    assert adapter.requires == (base,)
    assert adapter.facts["examples"] == 20
    assert adapter.facts["bytes"] == sum(len(b) for b in contents(adapter.path).values())
    assert ctx.reports[-1]["loss"] < ctx.reports[0]["loss"]
    ids = torch.arange(3, 20)[None]
    plain = load_model(base.path, dtype=torch.float32, device="cpu")(input_ids=ids).logits
    tuned = load_model(base.path, dtype=torch.float32, device="cpu", adapter=adapter.path)(input_ids=ids).logits
    assert not torch.allclose(plain, tuned, atol=1e-2)


def test_equal_work_gives_equal_bytes_wherever_it_is_done(tmp_path, base, pairs):
    one, _ = _tune(tmp_path / "one", base, pairs)
    moved = write_model(tmp_path / "elsewhere" / "base")
    other, _ = _tune(tmp_path / "other", moved, write_pairs(tmp_path / "elsewhere" / "pairs"))
    third, _ = _tune(tmp_path / "third", base, pairs, seed=4)
    assert contents(one.path) == contents(other.path)
    assert contents(one.path) != contents(third.path)
    assert not [n for n, b in contents(one.path).items() if str(tmp_path).encode() in b or str(base.path).encode() in b]


def test_a_stopped_training_ends_with_the_same_bytes(tmp_path, base, pairs, monkeypatch):
    from kistack_torch import training

    monkeypatch.setattr(training, "_is_due", lambda step, *_: step % 3 == 0)
    settings = SETTINGS.model_copy(update={"dropout": 0.2, "dtype": "bf16"})
    whole, _ = _tune(tmp_path / "whole", base, pairs, settings)

    class Stopping(LocalContext):
        def progress(self, *args, **numbers):
            super().progress(*args, **numbers)
            if len(self.reports) == 5:
                raise KeyboardInterrupt

    ctx = Stopping(tmp_path / "cut", {"model": base, "pairs": pairs}, seed=3)
    with pytest.raises(KeyboardInterrupt):
        run_stage(LoraTuner(), ctx, settings)
    resumed, again = _tune(tmp_path / "cut", base, pairs, settings)
    assert len(again.reports) == 7
    assert contents(resumed.path) == contents(whole.path)


def test_an_adapter_says_on_what_it_stands(tmp_path, base, pairs):
    adapter, _ = _tune(tmp_path, base, pairs)
    record = json.loads((adapter.path / "kistack.json").read_text())
    assert len(record["base"]["weights"]) == 64
    assert record["settings"]["rank"] == 4


def test_a_16_bit_base_still_has_a_32_bit_adapter(tmp_path, base, pairs):
    from safetensors.torch import load_file

    adapter, _ = _tune(tmp_path, base, pairs, SETTINGS.model_copy(update={"dtype": "bf16"}))
    weights = load_file(adapter.path / "adapter_model.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.float32}
    assert any((w != w.bfloat16().float()).any() for w in weights.values())


def test_passages_are_learned_from_unless_never(tmp_path, base, pairs):
    seen, ctx = _tune(tmp_path / "1", base, pairs)
    unseen, other = _tune(tmp_path / "2", base, pairs, SETTINGS.model_copy(update={"passages": "never"}))
    assert "with passages" in " ".join(ctx.lines)
    assert "without passages" in " ".join(other.lines)
    assert ctx.reports[-1]["total"] > other.reports[-1]["total"]
    assert contents(seen.path) != contents(unseen.path)


def test_required_passages_that_are_missing_are_told(tmp_path, base):
    bare = write_pairs(tmp_path / "bare", passages=False)
    with pytest.raises(DataError, match="20 of 20 pairs carry no passages"):
        _tune(tmp_path, base, bare, SETTINGS.model_copy(update={"passages": "require"}))


def test_too_few_usable_pairs_are_told(tmp_path, base):
    few = write_pairs(tmp_path / "few", 10)
    with pytest.raises(DataError, match="10 usable pairs, at least 16"):
        _tune(tmp_path, base, few)


@pytest.mark.parametrize(
    ("targets", "names"), [("attention", ["k_proj", "o_proj", "q_proj", "v_proj"]), ("up_proj", ["up_proj"])]
)
def test_only_the_named_matrices_are_adapted(tmp_path, base, pairs, targets, names):
    adapter, _ = _tune(tmp_path, base, pairs, SETTINGS.model_copy(update={"targets": targets, "epochs": 1}))
    config = json.loads((adapter.path / "adapter_config.json").read_text())
    assert sorted(config["target_modules"]) == names


def test_matrices_that_do_not_exist_are_told(tmp_path, base, pairs):
    with pytest.raises(ModelError, match="no matrices 'c_attn'") as caught:
        _tune(tmp_path, base, pairs, SETTINGS.model_copy(update={"targets": "c_attn"}))
    assert "all-linear" in caught.value.hint


def test_recomputing_activations_changes_memory_not_the_adapter(tmp_path, base, pairs):
    from safetensors.torch import load_file

    plain, _ = _tune(tmp_path / "1", base, pairs)
    again, _ = _tune(tmp_path / "2", base, pairs, SETTINGS.model_copy(update={"recompute": True}))
    weights = load_file(again.path / "adapter_model.safetensors")
    for name, expected in load_file(plain.path / "adapter_model.safetensors").items():
        assert torch.allclose(weights[name], expected, atol=1e-4), name
