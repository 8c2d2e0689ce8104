import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.embedding.batching import encode_sorted, sort_by_length


def test_longest_first_and_equal_ones_in_their_order():
    assert sort_by_length(["a", "ccc", "b", "ddd"]) == [1, 3, 0, 2]


@given(st.lists(st.text(max_size=9), max_size=30), st.integers(1, 7))
def test_vectors_come_back_in_the_order_of_the_texts(texts, batch):
    sizes = []

    def encode(chosen):
        sizes.append(len(chosen))
        return np.array([[len(t), sum(map(ord, t))] for t in chosen], dtype=np.float32)

    found = encode_sorted(texts, encode, batch)
    assert found.tolist() == [[len(t), float(np.float32(sum(map(ord, t))))] for t in texts]
    assert all(size <= batch for size in sizes)
    assert found.shape == ((len(texts), 2) if texts else (0, 0))
