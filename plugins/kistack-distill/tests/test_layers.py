import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_distill.layers import kept_layers


@given(st.integers(2, 200), st.integers(2, 20))
def test_kept_layers_are_spread_from_first_to_last(layers, every):
    kept = kept_layers(layers, every)
    assert kept[0] == 0
    assert kept[-1] == layers - 1
    assert len(kept) == max(2, -(-layers // every))
    gaps = {b - a for a, b in itertools.pairwise(kept)}
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(
    ("layers", "every", "kept"),
    [(4, 2, (0, 3)), (5, 2, (0, 2, 4)), (6, 2, (0, 3, 5)), (12, 3, (0, 4, 7, 11)), (1, 2, (0,))],
)
def test_kept_layers_by_hand(layers, every, kept):
    assert kept_layers(layers, every) == kept
