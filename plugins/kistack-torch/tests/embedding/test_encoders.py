from kistack_torch.embedding.bert import BertEncoder
from kistack_torch.embedding.encoder import SentenceEncoder
from kistack_torch.embedding.encoders import open_encoder
from kistack_torch.embedding.estimates import MANY_TEXTS
from kistack_torch.embedding.testing import tiny_embedder


def test_what_numpy_computes_is_opened_without_torch(embedder):
    assert isinstance(open_encoder(embedder.path), BertEncoder)


def test_what_numpy_cannot_compute_is_opened_with_torch(tmp_path):
    folder = tiny_embedder(tmp_path / "max", pooling={"pooling_mode": "max"})
    assert isinstance(open_encoder(folder), SentenceEncoder)


def test_very_many_texts_are_left_to_torch(embedder):
    assert isinstance(open_encoder(embedder.path, MANY_TEXTS), SentenceEncoder)
    assert isinstance(open_encoder(embedder.path, MANY_TEXTS - 1), BertEncoder)
