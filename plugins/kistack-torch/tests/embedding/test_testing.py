import pytest
from kistack_torch.embedding.encoders import open_encoder
from kistack_torch.embedding.testing import WORDS, tiny_embedder


def test_its_weights_follow_the_seed(tmp_path):
    import torch

    state = torch.random.get_rng_state()
    first, again, other = (
        (tiny_embedder(tmp_path / name, seed=seed) / "model.safetensors").read_bytes()
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first == again != other


def test_it_opens_and_knows_its_words_whole(tmp_path):
    encoder = open_encoder(tiny_embedder(tmp_path / "m"))
    assert len(encoder.tokens(" ".join(WORDS))) == len(WORDS)
    assert encoder.encode(["king"]).shape == (1, 32)
    assert float((encoder.encode(["king"]) ** 2).sum()) == pytest.approx(1.0, abs=1e-5)
