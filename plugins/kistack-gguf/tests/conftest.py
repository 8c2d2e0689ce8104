"""A tiny llama as a Hugging Face folder and as GGUF, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from kistack_gguf import native
from kistack_gguf.export import export
from kistack_gguf.kinds import KINDS
from kistack_torch.models import load_model, load_tokenizer, save_model
from kistack_torch.testing import TEXTS, tiny_model

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile, measured

FACTS = {"params": 47392.0, "layers": 4.0, "hidden": 32.0, "heads": 4.0, "kv_heads": 2.0, "head_dim": 8.0, "ffn": 64.0}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(native, "cores", lambda: 1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A tiny llama whose every next token is plain ASCII, so that its answers survive being written as text."""
    path = tiny_model(tmp_path_factory.mktemp("tiny") / "hf", tied=False)
    model = load_model(path, dtype=torch.float32, device="cpu")
    tokenizer = load_tokenizer(path)
    with torch.no_grad():
        for token in range(model.config.vocab_size):
            text = tokenizer.decode([token])
            if not (text.isascii() and text.isprintable()) or token in tokenizer.all_special_ids:
                model.lm_head.weight[token] = 0.0
    save_model(model, tokenizer, path)
    return path


@pytest.fixture(scope="session")
def tied(tmp_path_factory) -> Path:
    """A tiny llama whose head is its embedding."""
    return tiny_model(tmp_path_factory.mktemp("tied") / "hf", hidden=64, layers=2, texts=TEXTS)


@pytest.fixture(scope="session")
def gguf_file(folder, tmp_path_factory) -> Path:
    """The tiny llama in half precision."""
    target = tmp_path_factory.mktemp("gguf") / "model.gguf"
    export(folder, target, KINDS["F16"])
    return target


@pytest.fixture
def source(folder) -> Artifact:
    """The tiny llama as an artifact."""
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    return Artifact(
        "model",
        "hf",
        folder,
        "",
        "k",
        {"precision": "fp32", "family": "llama"},
        {**FACTS, "vocab": 320.0, "bytes": size},
    )


@pytest.fixture
def smollm() -> Type:
    """The shape of a 135 M model."""
    facts = {"params": 134.5e6, "layers": 30, "hidden": 576, "heads": 9, "kv_heads": 3, "head_dim": 64}
    facts |= {"ffn": 1536, "vocab": 49152, "context": 8192, "bytes": 269e6}
    return Type("model", "hf", {"precision": "bf16", "family": "llama"}, facts)


@pytest.fixture
def profile() -> Profile:
    """Two measured cores."""
    numbers = {"cores": 2, "bandwidth": 54e9, "flops_fp32": 330e9, "flops_bf16": 660e9, "ram_free": 20e9}
    return Profile({f"hardware.{n}": measured(v, "test") for n, v in numbers.items()})
