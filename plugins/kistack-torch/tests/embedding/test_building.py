import numpy as np
import pytest
from kistack_torch.embedding.batching import sort_by_length
from kistack_torch.embedding.building import embed_resumably

TEXTS = [f"{'x' * (n % 7)}{n}" for n in range(50)]


class Killed(Exception):
    pass


class Embedder:
    """Counts what it computes; dies after so many batches."""

    def __init__(self, dies_after=None):
        self.dies_after = dies_after
        self.batches = []

    def __call__(self, texts):
        if self.dies_after is not None and len(self.batches) >= self.dies_after:
            raise Killed
        self.batches.append(texts)
        return np.array([[len(t), hash(t) % 97, 0.5] for t in texts], dtype=np.float32)


def run(scratch, embed, texts=TEXTS, batch=8):
    seen = []
    vectors = embed_resumably(
        texts, sort_by_length(texts), embed, batch=batch, scratch=scratch, on_done=lambda done, _: seen.append(done)
    )
    return vectors, seen


def test_vectors_stand_in_the_order_of_the_texts(tmp_path):
    vectors, seen = run(tmp_path, Embedder())
    assert vectors[:, 0].tolist() == [len(t) for t in TEXTS]
    assert seen == [8, 16, 24, 32, 40, 48, 50]


@pytest.mark.parametrize("dies_after", [0, 1, 3, 6])
def test_a_killed_run_goes_on_where_it_stopped_and_ends_the_same(tmp_path, dies_after):
    (tmp_path / "whole").mkdir()
    whole, _ = run(tmp_path / "whole", Embedder())
    with pytest.raises(Killed):
        run(tmp_path, Embedder(dies_after))
    second = Embedder()
    vectors, _ = run(tmp_path, second)
    assert len(second.batches) == 7 - dies_after
    assert vectors.tobytes() == whole.tobytes()


def test_a_batch_that_was_half_written_is_computed_again(tmp_path):
    whole, _ = run(tmp_path, Embedder())
    file = tmp_path / "vectors.f32"
    file.write_bytes(file.read_bytes()[: 12 * 11 + 5])
    again = Embedder()
    vectors, _ = run(tmp_path, again)
    assert len(again.batches) == 6
    assert vectors.tobytes() == whole.tobytes()


def test_a_finished_run_computes_nothing_again(tmp_path):
    run(tmp_path, Embedder())
    again = Embedder()
    run(tmp_path, again)
    assert again.batches == []


@pytest.mark.parametrize(("texts", "batch"), [([*TEXTS[:-1], "other"], 8), (TEXTS, 5), (TEXTS[:20], 8)])
def test_what_is_left_of_other_work_is_not_used(tmp_path, texts, batch):
    run(tmp_path, Embedder())
    again = Embedder()
    vectors, _ = run(tmp_path, again, texts, batch)
    assert sum(map(len, again.batches)) == len(texts)
    assert vectors[:, 0].tolist() == [len(t) for t in texts]


def test_a_damaged_description_is_not_trusted(tmp_path):
    run(tmp_path, Embedder())
    (tmp_path / "plan.json").write_text("{")
    again = Embedder()
    run(tmp_path, again)
    assert len(again.batches) == 7
