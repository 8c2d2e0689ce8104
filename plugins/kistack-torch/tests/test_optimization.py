import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.optimization import MasterWeights, learning_rate


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from(["cosine", "linear", "constant"]))
def test_the_rate_rises_then_falls_and_is_never_zero(total, warmup, decay):
    rates = [learning_rate(i, total, 2.0, warmup=warmup, decay=decay) for i in range(total)]
    top = max(range(total), key=rates.__getitem__)
    assert all(0 < r <= 2.0 + 1e-12 for r in rates)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_rate_by_hand():
    rates = [learning_rate(i, 6, 1.0, warmup=0.3, decay="cosine") for i in range(6)]
    expected = [0.5, 1.0, 1.0, *[0.5 * (1 - math.cos(math.pi * x / 4)) for x in (3, 2, 1)]]
    assert rates == pytest.approx(expected)
    assert [learning_rate(i, 4, 1.0, warmup=0, decay="linear") for i in range(4)] == [1.0, 0.75, 0.5, 0.25]


def _layer(dtype):
    torch.manual_seed(1)
    return torch.nn.Linear(6, 4, bias=True).to(dtype)


def _learn(layer, weights, steps, start=0):
    for i in range(start, start + steps):
        data = torch.randn(8, 6, generator=torch.Generator().manual_seed(i)).to(layer.weight.dtype)
        for half in data.chunk(2):
            layer(half).float().pow(2).sum().backward()
        weights.step(1e-2, clip=1.0)


def test_fp32_steps_are_torchs_adamw():
    ours, reference = _layer(torch.float32), _layer(torch.float32)
    _learn(ours, MasterWeights(ours, weight_decay=0.1), 3)
    optimizer = torch.optim.AdamW(reference.parameters(), lr=1e-2, weight_decay=0.1)
    for i in range(3):
        data = torch.randn(8, 6, generator=torch.Generator().manual_seed(i))
        optimizer.zero_grad()
        reference(data).pow(2).sum().backward()
        torch.nn.utils.clip_grad_norm_(reference.parameters(), 1.0)
        optimizer.step()
    assert torch.allclose(ours.weight, reference.weight, atol=1e-6)


def test_small_updates_survive_in_the_masters():
    layer = torch.nn.Linear(1, 1, bias=False).bfloat16()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    weights = MasterWeights(layer)
    for _ in range(20):
        layer(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        weights.step(1e-3, clip=0)  # bf16 near 1 cannot hold a change of 0.001
    assert layer.weight.item() == pytest.approx(1 - 20e-3, abs=4e-3)
    weights.release(full_precision=True)
    assert layer.weight.dtype == torch.float32
    assert layer.weight.item() == pytest.approx(1 - 20e-3, rel=1e-4)


def test_gradients_are_gathered_in_fp32():
    layer = torch.nn.Linear(1, 1, bias=False).bfloat16()
    weights = MasterWeights(layer)
    for value in (256.0, 0.5, 0.5, 0.5, 0.5):  # in bf16, 256 + 0.5 is 256
        layer(torch.full((1, 1), value, dtype=torch.bfloat16)).sum().backward()
    assert layer.weight.grad is None
    assert weights.step(1e-3, clip=0) == 258.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_restored_weights_go_on_as_if_nothing_had_happened(dtype):
    straight = _layer(dtype)
    _learn(straight, MasterWeights(straight), 6)
    first = _layer(dtype)
    weights = MasterWeights(first)
    _learn(first, weights, 4)
    kept = {n: t.clone() for n, t in weights.tensors().items()}
    second = _layer(dtype)
    weights = MasterWeights(second)
    weights.restore(kept, 4)
    _learn(second, weights, 2, start=4)
    assert torch.equal(straight.weight, second.weight)
    assert torch.equal(straight.bias, second.bias)


def test_frozen_parameters_are_left_alone():
    layer = _layer(torch.float32)
    layer.bias.requires_grad_(requires_grad=False)
    weights = MasterWeights(layer)
    assert weights.count == 24
    assert weights.shapes() == {"weight": [4, 6]}


def test_a_gradient_that_is_no_number_changes_nothing():
    layer = _layer(torch.float32)
    before = layer.weight.detach().clone()
    weights = MasterWeights(layer)
    (layer(torch.ones(1, 6)).sum() * math.inf).backward()
    assert not math.isfinite(weights.step(1e-2, 1.0))
    assert torch.equal(layer.weight, before)
