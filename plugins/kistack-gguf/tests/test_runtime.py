from dataclasses import replace

import pytest
from kistack_gguf import runtime
from kistack_gguf.runtime import LlamaCppRuntime
from kistack_gguf.settings import LlamaCppSettings

from kistack.domain.artifacts import Artifact
from kistack.domain.facts import measured
from kistack.errors import ModelError
from kistack.plugins.sessions import ModelSession
from kistack.plugins.stages import Load

STAGE, SETTINGS = LlamaCppRuntime(), LlamaCppSettings(threads=1, context=256, parallel=2)


@pytest.mark.parametrize("installed", [True, False])
def test_it_gives_likelihoods_where_logits_are_to_be_had(monkeypatch, installed):
    monkeypatch.setattr(runtime, "has_logits", lambda: installed)
    (opens,) = STAGE.traits(SETTINGS).opens
    assert (opens.kind, opens.format) == ("model", "gguf")
    assert ("loglikelihood" in opens.gives) is installed
    assert {"generate", "stream"} <= set(opens.gives)


def artifact(path):
    return Artifact("model", "gguf", path, "", "k")


def test_it_opens_a_folder_or_a_file(gguf_file):
    for path in (gguf_file, gguf_file.parent):
        session = STAGE.open(SETTINGS, artifact(path), {})
        assert isinstance(session, ModelSession)
        (answer,) = session.generate([[{"role": "user", "content": "hi"}]], max_new_tokens=2)
        assert answer.new_tokens == 2
        session.close()


def test_no_file_and_several_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"holds 0 \.gguf files"):
        STAGE.open(SETTINGS, artifact(tmp_path), {})
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"holds 2 \.gguf files"):
        STAGE.open(SETTINGS, artifact(tmp_path), {})


def served(smollm, precision="int8", size=144.8e6):
    return replace(smollm, format="gguf", facets={"precision": precision}, facts={**smollm.facts, "bytes": size})


def test_serving_is_near_what_was_measured(smollm, profile):
    alone = STAGE.serving(LlamaCppSettings(), profile, served(smollm), Load(prompt_tokens=426, new_tokens=24))
    # measured on two idle cores: 1.2 s for 426 prompt tokens and 24 new ones, 329 MB
    assert alone.cost("latency_seconds") == pytest.approx(1.2, rel=0.35)
    assert alone.cost("peak_bytes") == pytest.approx(329e6, rel=0.15)
    decoding = STAGE.serving(LlamaCppSettings(), profile, served(smollm), Load(prompt_tokens=0, new_tokens=500))
    # measured: 112 tokens a second
    assert decoding.cost("tokens_per_second") == pytest.approx(112, rel=0.2)


def test_answers_at_once_share_the_machine(smollm, profile):
    loads = [Load(prompt_tokens=200, new_tokens=16, concurrency=n) for n in (1, 2, 4)]
    found = [STAGE.serving(LlamaCppSettings(), profile, served(smollm), load) for load in loads]
    latencies = [f.cost("latency_seconds") for f in found]
    assert latencies == sorted(latencies)
    assert found[2].cost("tokens_per_second") > found[0].cost("tokens_per_second")


def test_who_finds_no_place_waits(smollm, profile):
    loads = [Load(prompt_tokens=200, new_tokens=16, concurrency=n) for n in (4, 40)]
    few, many = (STAGE.serving(LlamaCppSettings(parallel=4), profile, served(smollm), load) for load in loads)
    assert many.cost("latency_seconds") == pytest.approx(10 * few.cost("latency_seconds"))
    assert many.cost("tokens_per_second") == few.cost("tokens_per_second")


def test_answers_that_must_be_repeatable_are_given_one_at_a_time(smollm, profile):
    loads = [Load(200, 16), Load(200, 16, 16, repeatable=True)]
    alone, all_ = (STAGE.serving(LlamaCppSettings(parallel=4), profile, served(smollm), load) for load in loads)
    assert all_.cost("tokens_per_second") == alone.cost("tokens_per_second")
    assert all_.cost("latency_seconds") == pytest.approx(16 * alone.cost("latency_seconds"))


def test_memory_grows_with_context_and_file(smollm, profile):
    def peak(settings, size=144.8e6):
        return STAGE.serving(settings, profile, served(smollm, size=size), Load()).cost("peak_bytes")

    assert peak(LlamaCppSettings(context=4096)) > peak(LlamaCppSettings(context=2048))
    assert peak(LlamaCppSettings(), 270e6) - peak(LlamaCppSettings()) == pytest.approx(270e6 - 144.8e6)


def test_a_gpu_makes_it_no_faster(smollm, profile):
    """The wheels of its bindings compute on the processor."""
    sheet = {"gpus": 1, "gpu_free": 80e9, "bandwidth": 3e12, "flops_fp32": 6e13, "flops_bf16": 8e14}
    own = {f"hardware.cpu_{name}": fact for name in sheet if (fact := profile.facts.get(f"hardware.{name}"))}
    beside = profile.updated({**own, **{f"hardware.{name}": measured(value, "") for name, value in sheet.items()}})
    load = Load(prompt_tokens=426, new_tokens=24)
    here, there = (STAGE.serving(LlamaCppSettings(), p, served(smollm), load) for p in (profile, beside))
    assert there.costs == here.costs
