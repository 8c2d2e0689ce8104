from __future__ import annotations

import json

import torch
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.models import load_model
from kistack_torch.testing import TEXTS, tiny_model, tiny_tokenizer

TOKENIZER = tiny_tokenizer()


@given(st.text())
def test_every_text_survives_the_tokenizer(text):
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"], skip_special_tokens=False) == text


def test_its_merges_are_used():
    assert len(TOKENIZER(TEXTS[0])["input_ids"]) < len(TEXTS[0].encode())


def test_the_model_is_what_was_asked_for(tmp_path):
    folder = tiny_model(tmp_path / "deep" / "model", layers=2, hidden=48, tied=False)
    assert folder == tmp_path / "deep" / "model"
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"], config["model_type"]) == (2, 48, "llama")
    assert config["vocab_size"] == len(TOKENIZER)
    model = load_model(folder, dtype=torch.float32, device="cpu")
    assert model.lm_head.weight.data_ptr() != model.get_input_embeddings().weight.data_ptr()


def test_its_weights_follow_the_seed_and_leave_the_callers_generator_alone(tmp_path):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    folders = [tiny_model(tmp_path / str(n), seed=seed) for n, seed in enumerate((1, 1, 2))]
    assert torch.equal(torch.random.get_rng_state(), state)
    first, same, other = ((f / "model.safetensors").read_bytes() for f in folders)
    assert first == same
    assert first != other


def test_its_next_token_is_no_near_tie(tmp_path):
    model = load_model(tiny_model(tmp_path), dtype=torch.float32, device="cpu")
    with torch.inference_mode():
        top = model(torch.arange(3, 100)[None]).logits[0].topk(2).values
    assert float((top[:, 0] - top[:, 1]).median()) > 0.01
