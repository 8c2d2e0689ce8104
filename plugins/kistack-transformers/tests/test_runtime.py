from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from kistack_torch.models import load_model, load_tokenizer
from kistack_transformers.runtime import RuntimeSettings, TransformersRuntime
from peft import LoraConfig, PeftModel, get_peft_model

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile, measured
from kistack.domain.prompt import PromptTemplate
from kistack.errors import InputError, ModelError
from kistack.plugins.stages import Load

PROMPT = PromptTemplate().render("Which version was the latest?")
FP32 = RuntimeSettings(dtype="fp32", device="cpu")
RUNTIME = TransformersRuntime()

SMOL = Type(
    "model",
    "hf",
    facts={
        "params": 134.5e6,
        "layers": 30,
        "hidden": 576,
        "heads": 9,
        "kv_heads": 3,
        "head_dim": 64,
        "ffn": 1536,
        "vocab": 49152,
        "context": 8192,
        "bytes": 269e6,
    },
)


def profile(**numbers):
    values = {"cores": 2, "ram_free": 20e9, "bandwidth": 52e9, "flops_fp32": 160e9, "flops_bf16": 410e9, **numbers}
    return Profile({f"hardware.{n}": measured(v, "test") for n, v in values.items()})


@pytest.fixture(scope="module")
def adapter(model_folder, tmp_path_factory):
    """A LoRA adapter of random weights, saved as PEFT saves it."""
    folder = tmp_path_factory.mktemp("adapter")
    model = load_model(model_folder, dtype=torch.float32, device="cpu")
    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def artifact(folder, form="hf"):
    return Artifact("model", form, folder, "", "k")


def test_traits_say_what_it_opens():
    (opens,) = RUNTIME.traits(RuntimeSettings()).opens
    assert (opens.kind, opens.format) == ("model", "hf|hf+peft")
    assert opens.gives == ("generate", "stream", "loglikelihood")


def test_an_adapter_answers_as_its_merged_model(model_folder, adapter, tmp_path):
    base = load_model(model_folder, dtype=torch.float32, device="cpu")
    merged = PeftModel.from_pretrained(base, adapter).merge_and_unload()
    merged.save_pretrained(tmp_path)
    load_tokenizer(model_folder).save_pretrained(tmp_path)
    session = RUNTIME.open(FP32, artifact(adapter, "hf+peft"), {"base": artifact(model_folder)})
    item = [(PROMPT, "3.12.4")]
    together = session.loglikelihood(item)[0].total
    assert together == pytest.approx(RUNTIME.open(FP32, artifact(tmp_path), {}).loglikelihood(item)[0].total, abs=1e-3)
    assert together != pytest.approx(
        RUNTIME.open(FP32, artifact(model_folder), {}).loglikelihood(item)[0].total, abs=1e-2
    )
    assert session.generate([PROMPT], max_new_tokens=6)[0].new_tokens > 0


def test_an_adapter_without_base_or_of_a_kind_it_cannot_run(model_folder, adapter, tmp_path):
    with pytest.raises(ModelError, match="without its base"):
        RUNTIME.open(FP32, artifact(adapter, "hf+peft"), {})
    bare = shutil.copytree(adapter, tmp_path / "bare")
    (bare / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="without safetensors"):
        RUNTIME.open(FP32, artifact(bare, "hf+peft"), {"base": artifact(model_folder)})
    virtual = shutil.copytree(adapter, tmp_path / "virtual")
    config = json.loads((virtual / "adapter_config.json").read_text())
    (virtual / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "PROMPT_TUNING"}))
    with pytest.raises(ModelError, match="PROMPT_TUNING"):
        RUNTIME.open(FP32, artifact(virtual, "hf+peft"), {"base": artifact(model_folder)})


def test_a_model_that_does_not_fit_is_refused_before_loading(model_folder, monkeypatch):
    import kistack_torch.devices
    import kistack_torch.models

    monkeypatch.setattr(kistack_torch.devices, "free_bytes", lambda device: 1e5)
    monkeypatch.setattr(kistack_torch.models, "load_model", lambda *a, **k: pytest.fail("was loaded"))
    with pytest.raises(ModelError, match=r"needs 0\.00 GB of memory on cpu and 0\.00 GB are free") as caught:
        RUNTIME.open(FP32, artifact(model_folder), {})
    assert "quantize" in caught.value.hint


def test_a_device_that_is_not_there(model_folder):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(InputError, match="'cuda' is not usable"):
        RUNTIME.open(RuntimeSettings(device="cuda"), artifact(model_folder), {})


def test_half_precision_answers_too(model_folder):
    session = RUNTIME.open(RuntimeSettings(dtype="bf16", device="cpu"), artifact(model_folder), {})
    assert session._loaded.model.dtype == torch.bfloat16
    full = RUNTIME.open(FP32, artifact(model_folder), {}).loglikelihood([("", "the latest version")])[0]
    half = session.loglikelihood([("", "the latest version")])[0]
    assert half.total == pytest.approx(full.total, rel=0.05)


@pytest.mark.parametrize(
    ("numbers", "settings", "expected"),
    [
        ({}, {}, "bf16"),
        ({"flops_bf16": 100e9}, {}, "fp32"),
        ({"gpus": 1, "flops_bf16": 100e12, "flops_fp32": 90e12}, {}, "bf16"),
        ({"flops_bf16": 100e9}, {"dtype": "fp16"}, "fp16"),
        ({"gpus": 1, "flops_bf16": 100e9}, {"device": "cpu"}, "fp32"),
        ({}, {"device": "mps"}, "fp16"),
    ],
)
def test_auto_is_resolved_by_what_the_machine_multiplies(numbers, settings, expected):
    resolved = RUNTIME.resolve(RuntimeSettings(**settings), profile(**numbers), {})
    assert resolved.dtype == expected
    assert RUNTIME.resolve(resolved, profile(), {}) == resolved


@pytest.mark.parametrize(("dtype", "seconds", "peak"), [("bf16", 2.0, 0.741e9), ("fp32", 3.1, 1.265e9)])
def test_serving_is_near_what_was_measured_on_two_cores(dtype, seconds, peak):
    smol = replace(SMOL, facets={"precision": "bf16"})
    found = RUNTIME.serving(RuntimeSettings(dtype=dtype), profile(), smol, Load(prompt_tokens=426, new_tokens=24))
    assert found.cost("latency_seconds") == pytest.approx(seconds, rel=0.5)
    assert found.cost("peak_bytes") == pytest.approx(peak, rel=0.2)
    assert found.cost("tokens_per_second") == pytest.approx(24 / found.cost("latency_seconds"))


def test_serving_grows_with_load_and_precision():
    def of(load, **settings):
        return RUNTIME.serving(RuntimeSettings(**settings), profile(), SMOL, load)

    one, many = of(Load(200, 32, 1)), of(Load(200, 32, 8))
    assert many.cost("peak_bytes") > one.cost("peak_bytes")
    assert one.cost("latency_seconds") < many.cost("latency_seconds") < 8 * one.cost("latency_seconds")
    assert many.cost("tokens_per_second") > one.cost("tokens_per_second")
    assert of(Load(), dtype="fp32").cost("peak_bytes") - of(Load()).cost("peak_bytes") > 250e6
    assert RUNTIME.estimate(RuntimeSettings(), profile(), {}).costs == {}
