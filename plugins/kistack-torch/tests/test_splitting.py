from pathlib import Path

import pytest
import torch
from kistack_torch import models, splitting
from kistack_torch.losses import cross_entropy
from kistack_torch.splitting import SplitModel
from kistack_torch.testing import tiny_model
from transformers import GraniteConfig, GraniteForCausalLM


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), layers=2)


def _model(folder: Path):
    return models.load_model(folder, dtype=torch.float32, device="cpu")


def _granite():
    torch.manual_seed(0)
    config = GraniteConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        logits_scaling=8.0,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return GraniteForCausalLM(config).eval()


def _check_against_whole(model, split):
    ids = torch.arange(48).reshape(3, 16) % 60
    rows = torch.tensor([3, 4, 20, 40])
    targets = torch.tensor([1, 2, 3, 4])
    loss = cross_entropy(model(input_ids=ids).logits.flatten(0, 1)[rows], targets)
    expected = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    found = split.backward(ids, rows, lambda part, logits: cross_entropy(logits, targets[part]))
    assert found == pytest.approx(float(loss.detach()), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5)
    chunks = torch.cat([logits for _, logits in split.each_chunk(ids, rows)])
    assert torch.allclose(chunks, model(input_ids=ids).logits.flatten(0, 1)[rows], atol=1e-5)


@pytest.mark.parametrize(("head", "loss"), [(1 << 20, 1 << 20), (1 << 20, 1), (3 * 320 * 4, 1), (1, 1)])
def test_gradients_are_those_of_the_whole_model(folder, monkeypatch, head, loss):
    monkeypatch.setattr(splitting, "_HEAD_BYTES", head)
    monkeypatch.setattr(splitting, "_LOSS_BYTES", loss)
    monkeypatch.setattr(splitting, "_LEAST_ROWS", 1)
    model = _model(folder)
    split = SplitModel(model)
    assert split.is_split
    _check_against_whole(model, split)


def test_a_model_that_scales_its_logits_is_noticed():
    model = _granite()
    split = SplitModel(model)
    assert not split.is_split
    _check_against_whole(model, split)


def test_the_probe_leaves_the_mode_alone(folder):
    model = _model(folder).train()
    SplitModel(model)
    assert model.training


def test_reading_two_models_side_by_side_leaves_gradients_on(folder):
    one, two = SplitModel(_model(folder)), SplitModel(_model(folder))
    ids, rows = torch.arange(8)[None], torch.arange(8)
    pairs = zip(one.each_chunk(ids, rows), two.each_chunk(ids, rows), strict=False)
    assert not any(a.requires_grad or b.requires_grad for (_, a), (_, b) in pairs)
    del pairs
    assert torch.is_grad_enabled()


def test_a_stretch_without_terms_has_no_gradient(folder, monkeypatch):
    monkeypatch.setattr(splitting, "_LOSS_BYTES", 1)
    monkeypatch.setattr(splitting, "_LEAST_ROWS", 2)
    model = _model(folder)
    ids, rows, targets = torch.arange(8)[None], torch.arange(4), torch.arange(4)

    def term(part, logits):
        return cross_entropy(logits, targets[part]) if part.start else torch.zeros(())

    split = SplitModel(model)
    found = split.backward(ids, rows, term)
    loss = cross_entropy(model(input_ids=ids).logits[0, 2:4], targets[2:])
    (expected,) = torch.autograd.grad(loss, [model.model.layers[0].mlp.up_proj.weight])
    assert found == pytest.approx(float(loss.detach()), rel=1e-5)
    assert torch.allclose(model.model.layers[0].mlp.up_proj.weight.grad, expected, atol=1e-5)
