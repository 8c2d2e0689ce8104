"""What the light halves of both stages are asked about, and a tiny model for the session's own arithmetic."""

from __future__ import annotations

import pytest

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured


@pytest.fixture
def smollm() -> Type:
    """The shape of a 135 M model."""
    facts = {"params": 134.5e6, "layers": 30, "hidden": 576, "heads": 9, "kv_heads": 3, "head_dim": 64}
    facts |= {"ffn": 1536, "vocab": 49152, "context": 8192, "bytes": 269e6, "tied": 1.0}
    return Type("model", "hf", {"precision": "bf16", "family": "llama"}, facts)


@pytest.fixture
def profile() -> Profile:
    """Two measured cores."""
    numbers = {"cores": 2, "bandwidth": 54e9, "flops_fp32": 330e9, "flops_bf16": 660e9, "ram_free": 20e9}
    return Profile({f"hardware.{n}": measured(v, "test") for n, v in numbers.items()})
