import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_metrics.ranking import recall_at, reciprocal_rank

DOCUMENTS = st.lists(st.sampled_from("abcdef"), max_size=8)


@pytest.mark.parametrize(
    ("found", "gold", "k", "expected"),
    [
        (["a", "b", "c"], ["b"], 1, 0.0),
        (["a", "b", "c"], ["b"], 2, 1.0),
        (["a", "b", "c"], ["b", "z"], 3, 0.5),
        (["b", "b", "b"], ["b", "a"], 3, 0.5),
        ([], ["b"], 3, 0.0),
        (["b"], ["b", "b"], 3, 1.0),
    ],
)
def test_recall(found, gold, k, expected):
    assert recall_at(found, gold, k) == expected


@pytest.mark.parametrize(
    ("found", "gold", "expected"),
    [(["a", "b"], ["b"], 0.5), (["b", "a"], ["b", "a"], 1.0), ([], ["b"], 0.0), (["x", "y", "z"], ["z"], 1 / 3)],
)
def test_reciprocal_rank(found, gold, expected):
    assert reciprocal_rank(found, gold) == expected


@given(DOCUMENTS, st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4))
def test_recall_never_falls_with_more_passages(found, gold):
    recalls = [recall_at(found, gold, k) for k in range(1, 9)]
    assert recalls == sorted(recalls)
    assert (reciprocal_rank(found, gold) > 0) == (recalls[-1] > 0)
