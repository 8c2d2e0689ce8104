import json

import numpy as np
import pytest
from kistack_torch.embedding.encoder import SentenceEncoder
from kistack_torch.embedding.testing import tiny_embedder

from kistack.errors import ModelError

TEXTS = ["The latest release of PHP", "king", "one two three four five six seven eight nine ten. " * 9, "", "Red!"]
POOLINGS = ["cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken"]


@pytest.fixture(scope="module")
def library():
    """The reference implementation; it is a development dependency only."""
    return pytest.importorskip("sentence_transformers").SentenceTransformer


def encode_with(library, folder, texts):
    return library(str(folder), device="cpu", local_files_only=True).encode(texts, show_progress_bar=False)


@pytest.mark.parametrize("mode", POOLINGS)
@pytest.mark.parametrize("normalise", [True, False])
def test_vectors_are_those_of_sentence_transformers(tmp_path, library, mode, normalise):
    folder = tiny_embedder(
        tmp_path / "m", pooling={"pooling_mode": mode, "embedding_dimension": 32}, normalise=normalise
    )
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"similarity_fn_name": "dot"}))
    found = SentenceEncoder(folder).encode(TEXTS)
    assert found == pytest.approx(encode_with(library, folder, TEXTS), abs=2e-5)


def test_dense_layers_are_those_of_sentence_transformers(tmp_path, library):
    folder = tiny_embedder(tmp_path / "m", dense=True)
    found = SentenceEncoder(folder).encode(TEXTS)
    assert found.shape == (len(TEXTS), 8)
    assert found == pytest.approx(encode_with(library, folder, TEXTS), abs=2e-5)


def test_prompts_go_before_queries_and_passages(tmp_path):
    folder = tiny_embedder(tmp_path / "m")
    plain = SentenceEncoder(folder).encode(["king one", "king two"])
    prompts = {"prompts": {"query": "king ", "passage": "queen "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    prompted = SentenceEncoder(folder)
    assert prompted.encode(["one", "two"], "query") == pytest.approx(plain, abs=1e-6)
    assert not np.allclose(prompted.encode(["one", "two"], "passage"), plain, atol=1e-3)


def test_the_order_of_texts_is_kept_whatever_the_batch(embedder):
    encoder = SentenceEncoder(embedder.path)
    whole = encoder.encode(TEXTS, batch=32)
    assert encoder.encode(TEXTS, batch=2) == pytest.approx(whole, abs=1e-5)
    assert encoder.encode([]).shape == (0, 0)


def test_room_leaves_place_for_special_tokens(embedder):
    encoder = SentenceEncoder(embedder.path)
    assert encoder.length == 48
    assert encoder.room == 46
    assert len(encoder.tokens("king " * 100)) == 100


def test_without_a_stated_length_the_tokenizer_decides(tmp_path):
    folder = tiny_embedder(tmp_path / "m")
    (folder / "sentence_bert_config.json").unlink()
    assert SentenceEncoder(folder).length == 64


def test_pickled_weights_are_not_read(tmp_path):
    import torch

    folder = tiny_embedder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        SentenceEncoder(folder)
    assert "safetensors" in caught.value.hint


def test_an_unknown_activation_is_refused(tmp_path):
    folder = tiny_embedder(tmp_path / "m", dense=True)
    config = {"in_features": 32, "out_features": 8, "activation_function": "os.system"}
    (folder / "2_Dense/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="system"):
        SentenceEncoder(folder)
