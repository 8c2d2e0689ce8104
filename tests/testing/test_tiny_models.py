"""The tiny models are what the libraries that open real ones take them for."""

import json

import numpy as np
import pytest

from kistack.testing.checks.honest import fault_of, tensors_fault
from kistack.testing.tiny_models import tiny_encoder, tiny_llama, write_safetensors


def test_transformers_loads_the_llama_and_every_text_survives_its_tokenizer(tmp_path):
    import torch
    from kistack_torch.models import load_model, load_tokenizer

    made = tiny_llama(tmp_path)
    model, tokenizer = load_model(tmp_path, dtype=torch.float32, device="cpu"), load_tokenizer(tmp_path)
    assert sum(p.numel() for p in model.parameters()) == made.fact("params")
    assert tokenizer.decode(tokenizer("Größe 7\n")["input_ids"]) == "Größe 7\n"
    assert len(tokenizer("the red")["input_ids"]) < len("the red")
    assert fault_of(made) == ""


def test_the_encoder_puts_a_question_nearest_to_its_document(tmp_path):
    import torch
    from transformers import AutoTokenizer, BertModel

    made = tiny_encoder(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    said = ["Which colour has the bridge of Aar 3?"]
    said += [f"The bridge of {t} {n} is painted red." for t in ("Aar", "Bex") for n in (2, 3)]
    with torch.inference_mode():
        vectors = [model(**tokenizer(s, return_tensors="pt")).last_hidden_state.mean(1)[0] for s in said]
    near = [float(torch.cosine_similarity(vectors[0], v, 0)) for v in vectors[1:]]
    assert near.index(max(near)) == 1
    assert made.fact("hidden") == 32


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    written = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        tiny_llama(tmp_path / name, seed=seed)
        written.append((tmp_path / name / "model.safetensors").read_bytes())
    assert written[0] == written[1] != written[2]


def test_safetensors_are_read_by_the_library(tmp_path):
    from safetensors.numpy import load_file

    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float16)}
    write_safetensors(tmp_path / "x.safetensors", tensors)
    read = load_file(tmp_path / "x.safetensors")
    assert all(np.array_equal(read[n], t) and read[n].dtype == t.dtype for n, t in tensors.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d[:-3], "cut off"),
        (lambda d: d[:8] + b"[" + d[9:], "header cannot be read"),
        (lambda d: d[:-4] + np.float32("nan").tobytes(), "NaN"),
    ],
)
def test_damaged_weights_are_told(tmp_path, change, said):
    file = tmp_path / "x.safetensors"
    write_safetensors(file, {"a": np.ones((2, 2), np.float32)})
    assert tensors_fault(file, "fp32") == ""
    assert "fp32 where the facets say fp16" in tensors_fault(file, "fp16")
    file.write_bytes(change(file.read_bytes()))
    assert said in tensors_fault(file, "fp32")


def test_a_model_folder_without_weights_or_config_is_told(tmp_path):
    made = tiny_llama(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert "no safetensors" in fault_of(made)
    (tmp_path / "config.json").unlink()
    assert "config.json is missing" in fault_of(made)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]
