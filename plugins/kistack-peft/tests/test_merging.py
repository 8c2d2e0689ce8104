import json
from dataclasses import replace

import pytest
import torch
from kistack_peft.lora import LoraTuner
from kistack_peft.merge import PeftMerge
from kistack_peft.settings import LoraSettings, MergeSettings
from kistack_torch.models import load_model
from peft_toys import contents, write_model, write_pairs
from safetensors.torch import load_file

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.errors import DataError, ModelError, StepFailed
from kistack.testing.context import LocalContext, run_stage

SETTINGS = LoraSettings(rank=4, alpha=8, epochs=1, learning_rate=1e-2, batch=4, dtype="fp32")


def _adapter(root, precision="fp32"):
    base = write_model(root / "base", precision=precision)
    ctx = LocalContext(root / "tune", {"model": base, "pairs": write_pairs(root / "pairs")}, seed=1)
    return run_stage(LoraTuner(), ctx, SETTINGS)["model"]


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def adapter(request, tmp_path_factory):
    return _adapter(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return _adapter(tmp_path_factory.mktemp("plain"))


def _merge(root, adapter, settings=MergeSettings()):  # noqa: B008 - frozen
    return run_stage(PeftMerge(), LocalContext(root, {"model": adapter}), settings)["model"]


def test_merged_it_answers_as_before(tmp_path, adapter):
    merged = _merge(tmp_path, adapter)
    base = adapter.requires[0]
    assert merged.format == "hf"
    assert merged.facets["merged"] == "yes"
    assert merged.facets["precision"] == base.facets["precision"]
    assert 0 <= merged.facts["kl"] < 0.01
    ids = torch.arange(5, 40)[None]
    before = load_model(base.path, dtype=torch.float32, device="cpu", adapter=adapter.path)(input_ids=ids).logits
    after = load_model(merged.path, dtype=torch.float32, device="cpu")(input_ids=ids).logits
    untuned = load_model(base.path, dtype=torch.float32, device="cpu")(input_ids=ids).logits
    assert (after - before).abs().max() < 0.1 * (untuned - before).abs().max()


def test_weights_are_added_in_fp32_and_cast_once(tmp_path, adapter):
    merged = _merge(tmp_path, adapter)
    base = load_file(adapter.requires[0].path / "model.safetensors")
    deltas = load_file(adapter.path / "adapter_model.safetensors")
    name = "model.layers.1.mlp.up_proj"
    a, b = (deltas[f"base_model.model.{name}.lora_{x}.weight"] for x in "AB")
    expected = (base[f"{name}.weight"].float() + 8 / 4 * (b @ a)).to(base[f"{name}.weight"].dtype)
    found = load_file(merged.path / "model.safetensors")[f"{name}.weight"]
    assert found.dtype == expected.dtype
    assert torch.allclose(found.float(), expected.float(), atol=1e-6 if found.dtype == torch.float32 else 1e-2)


def test_terms_and_tokenizer_travel_and_no_path_does(tmp_path, plain):
    merged = _merge(tmp_path, plain)
    held = contents(merged.path)
    assert held["LICENSE"] == b"as you like"
    assert held["tokenizer.json"] == contents(plain.path)["tokenizer.json"]
    assert not [n for n, b in held.items() if b"/pytest-" in b]
    assert merged.facts["bytes"] == sum(map(len, held.values()))


def test_merging_twice_gives_the_same_bytes(tmp_path, plain):
    assert contents(_merge(tmp_path / "1", plain).path) == contents(_merge(tmp_path / "2", plain).path)


def test_another_base_is_refused(tmp_path, plain):
    other = write_model(tmp_path / "other", seed=9)
    with pytest.raises(ModelError, match="trained on a base with weights") as caught:
        _merge(tmp_path, replace(plain, requires=(other,)))
    assert "base it was trained on" in caught.value.hint
    with pytest.raises(ModelError, match="without its base"):
        _merge(tmp_path, replace(plain, requires=()))


def test_an_unreadable_record_is_told(tmp_path, plain):
    import shutil

    folder = tmp_path / "adapter"
    shutil.copytree(plain.path, folder)
    (folder / "kistack.json").write_text("{}")
    with pytest.raises(DataError, match=r"kistack\.json"):
        _merge(tmp_path, replace(plain, path=folder))
    (folder / "kistack.json").unlink()  # an adapter from elsewhere has none
    assert _merge(tmp_path, replace(plain, path=folder)).facts["kl"] < 0.01


def test_an_adapter_that_does_not_survive_rounding_fails(tmp_path):
    adapter = _adapter(tmp_path, "bf16")
    with pytest.raises(StepFailed, match="above the tolerance of 1e-12"):
        _merge(tmp_path, adapter, MergeSettings(tolerance=1e-12))


def test_broken_weights_fail_and_do_not_pass_as_equal(tmp_path, plain):
    import shutil

    from safetensors.torch import save_file

    folder = tmp_path / "adapter"
    shutil.copytree(plain.path, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    first = min(weights)
    weights[first] = torch.full_like(weights[first], float("nan"))
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StepFailed, match="mean KL nan"):
        _merge(tmp_path, replace(plain, path=folder))


def test_the_composer_may_put_it_in_and_it_leaves_no_trace_in_descent():
    traits = PeftMerge().traits(MergeSettings())
    assert traits.auto
    assert traits.produces["model"].same
    assert traits.produces["model"].format == "hf"


def test_the_estimate_states_the_whole_model():
    model = Type("model", "hf+peft", {"precision": "bf16"}, {"params": 1e8, "vocab": 1000, "bytes": 1e6})
    estimate = PeftMerge().estimate(MergeSettings(), Profile({}), {"model": model})
    assert 2e8 < estimate.facts["model"]["bytes"] < 2.1e8
    assert estimate.cost("peak_bytes") > 8e8
    assert json.dumps(dict(estimate.costs))
