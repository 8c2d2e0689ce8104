import sys

import numpy as np
import pytest
import torch
from kistack_gguf.scoring import LogitModel, log_softmax
from kistack_torch.models import encode, load_model, load_tokenizer

from kistack.errors import DataError, ModelError

TEXT = "The latest version of the product was 3.12.4; support for it ends on 2028-10-31."


@pytest.fixture
def model(gguf_file):
    with LogitModel(gguf_file, context=256) as opened:
        yield opened


def test_logits_are_those_of_transformers(folder, model):
    ids = model.tokenize(TEXT)
    assert ids == encode(load_tokenizer(folder), TEXT)
    with torch.inference_mode():
        expected = load_model(folder, dtype=torch.float32, device="cpu")(torch.tensor([ids])).logits[0].numpy()
    found = model.logits(ids, 0)
    assert found.shape == expected.shape
    np.testing.assert_allclose(log_softmax(found), log_softmax(expected), atol=0.02)


def test_a_shared_beginning_is_computed_once_and_changes_nothing(model):
    ids = model.tokenize(TEXT * 6)[:250]
    whole = model.logits(ids, 0)
    again = model.logits(ids, 200)
    # another split into batches rounds otherwise
    np.testing.assert_allclose(again, whole[200:], atol=0.1)
    other = [*ids[:100], *ids[:20]]
    np.testing.assert_allclose(model.logits(other, 110), _fresh(model, other, 110), atol=0.1)


def _fresh(model, ids, start):
    model._cached = []
    return model.logits(ids, start)


def test_longer_than_the_context_is_refused(model):
    with pytest.raises(DataError, match="257 tokens does not fit the context of 256") as caught:
        model.logits([5] * 257, 0)
    assert "context" in caught.value.hint
    assert model.logits([], 0).shape == (0, len(model.logits([5], 0)[0]))


def test_a_file_that_cannot_be_opened_and_a_missing_binding(tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"llama\.cpp cannot open it"):
        LogitModel(tmp_path / "m.gguf", context=64)
    monkeypatch.setitem(sys.modules, "cyllama.llama.llama_cpp", None)
    with pytest.raises(ModelError, match="cyllama cannot be loaded") as caught:
        LogitModel(tmp_path / "m.gguf", context=64)
    assert caught.value.hint == "install it: pip install cyllama"


def test_closing_twice_is_fine(gguf_file):
    opened = LogitModel(gguf_file, context=64)
    opened.close()
    opened.close()


def test_log_softmax_survives_large_numbers():
    found = log_softmax(np.array([[1e4, 1e4], [0.0, -1e4]], np.float32))
    np.testing.assert_allclose(found, [[-np.log(2), -np.log(2)], [0.0, -1e4]])
