import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_peft.lora import LoraTuner, choose_epochs, known_targets
from kistack_peft.settings import LoraSettings
from pydantic import ValidationError

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured

SMOL = Type(
    "model",
    "hf",
    {"precision": "bf16"},
    {
        "params": 134.5e6,
        "layers": 30,
        "hidden": 576,
        "heads": 9,
        "kv_heads": 3,
        "head_dim": 64,
        "ffn": 1536,
        "vocab": 49152,
        "bytes": 272e6,
    },
)
SMALL_MACHINE = Profile(
    {
        "hardware.cores": measured(2, "counted"),
        "hardware.flops_fp32": measured(400e9, "timed"),
        "hardware.flops_bf16": measured(820e9, "timed"),
        "hardware.ram_free": measured(20e9, "read"),
    }
)
OLD_MACHINE = SMALL_MACHINE.updated({"hardware.flops_bf16": measured(100e9, "timed")})


def _inputs(count=300, tokens=200):
    facts = {"count": count, "prompt_tokens": tokens - 10, "answer_tokens": 10}
    return {"model": SMOL, "pairs": Type("pairs", "jsonl", {"passages": "with"}, facts)}


def test_registering_and_estimating_needs_no_torch():
    code = """
import sys
import kistack_peft.hooks as h
from kistack.domain.facts import Profile
from kistack.domain.artifacts import Type
for stage in [c() for c in [*h.kistack_register_tuners(), *h.kistack_register_stages()]]:
    inputs = {"model": Type("model", "hf", {}, {"params": 1e6, "vocab": 10}), "pairs": Type("pairs")}
    settings = stage.resolve(stage.suggest(Profile({}), inputs)[0], Profile({}), inputs)
    stage.traits(settings)
    assert stage.estimate(settings, Profile({}), inputs).facts["model"]["bytes"] > 0
heavy = {"torch", "transformers", "peft", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("use", "where", "prefer"), [("auto", "", "with"), ("never", "", ""), ("require", "with", "")])
def test_passages_are_wished_for_demanded_or_neither(use, where, prefer):
    port = LoraTuner().traits(LoraSettings(passages=use)).consumes["pairs"]
    assert port.where.get("passages", "") == where
    assert port.prefer.get("passages", "") == prefer


def test_an_adapter_needs_its_base_and_comes_before_quantizing():
    traits = LoraTuner().traits(LoraSettings())
    assert traits.produces["model"].requires == ("model",)
    assert traits.produces["model"].format == "hf+peft"
    assert "quantize/*" in traits.before
    assert traits.seeded
    assert traits.deterministic
    (need,) = traits.needs
    assert (need.port, need.fact, need.at_least) == ("pairs", "count", 16)


def test_nothing_is_left_open_before_hashing():
    tuner = LoraTuner()
    assert tuner.resolve(LoraSettings(), SMALL_MACHINE, _inputs()).dtype == "bf16"
    assert tuner.resolve(LoraSettings(), OLD_MACHINE, _inputs()).dtype == "fp32"
    assert tuner.resolve(LoraSettings(), SMALL_MACHINE, _inputs(300)).epochs == 2
    chosen = LoraSettings(dtype="fp32", epochs=7)
    assert tuner.resolve(chosen, SMALL_MACHINE, _inputs()) == chosen


@given(st.integers(1, 10**6))
def test_epochs_fall_with_the_number_of_pairs(count):
    assert 1 <= choose_epochs(count + 1) <= choose_epochs(count) <= 8


@pytest.mark.parametrize("count", [30, 300, 5000])
def test_suggestions_are_few_different_and_valid(count):
    suggested = LoraTuner().suggest(SMALL_MACHINE, _inputs(count))
    assert 2 <= len(suggested) <= 3
    assert len(set(map(repr, suggested))) == len(suggested)
    assert suggested[0].rank <= 16


def test_the_estimate_grows_with_the_work():
    tuner = LoraTuner()

    def ask(settings=LoraSettings(), inputs=None, profile=SMALL_MACHINE):  # noqa: B008 - frozen
        return tuner.estimate(settings, profile, inputs or _inputs())

    plain = ask()
    assert 60 < plain.cost("seconds") < 600
    assert 1e9 < plain.cost("peak_bytes") < 8e9
    assert plain.facts["model"]["trained"] == 4_884_480  # what peft counts for rank 16 on this model
    assert ask(LoraSettings(epochs=4)).cost("seconds") > 1.5 * plain.cost("seconds")
    assert ask(inputs=_inputs(600)).cost("seconds") == pytest.approx(plain.cost("seconds"), rel=0.05)  # 1 epoch, not 2
    assert ask(inputs=_inputs(tokens=400)).cost("seconds") > 1.5 * plain.cost("seconds")
    assert ask(LoraSettings(rank=32, alpha=64)).facts["model"]["bytes"] > plain.facts["model"]["bytes"]
    assert ask(LoraSettings(recompute=True)).cost("peak_bytes") < plain.cost("peak_bytes")
    assert ask(profile=OLD_MACHINE).cost("seconds") > plain.cost("seconds")


def test_on_a_gpu_a_small_batch_waits_for_its_kernels_to_be_launched():
    facts = {"params": 1.711e9, "layers": 24, "hidden": 2048, "heads": 32, "kv_heads": 32, "head_dim": 64}
    model = replace(SMOL, facts={**facts, "ffn": 8192, "vocab": 49152, "bytes": 3.42e9})
    sheet = {"gpus": 1, "gpu_free": 148e9, "bandwidth": 4.8e12, "flops_fp32": 50e12, "flops_bf16": 800e12}
    h200 = SMALL_MACHINE.updated({f"hardware.{name}": measured(value, "H200") for name, value in sheet.items()})
    told = LoraTuner().estimate(LoraSettings(epochs=1), h200, {**_inputs(400, 301), "model": model})
    # measured: 34.3 s and 8.5 GB (tests/benchmarks/gpu.py)
    assert told.cost("seconds") == pytest.approx(34.3, rel=0.15)
    assert 8.5e9 < told.cost("peak_bytes") < 1.6 * 8.5e9


@pytest.mark.parametrize(
    "bad", [{"rank": 0}, {"epochs": 0}, {"epochs": "many"}, {"targets": "q_proj,"}, {"dropout": 1.0}, {"speed": 3}]
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValidationError):
        LoraSettings(**bad)


def test_unusual_matrices_are_estimated_as_all():
    assert known_targets("q_proj,v_proj") == "q_proj,v_proj"
    assert known_targets("c_attn") == "all-linear"
    assert known_targets("mlp") == "mlp"
