import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_metrics.ranking import ndcg_at, precision_at, recall_at, reciprocal_rank
from sklearn.metrics import ndcg_score

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


def test_precision_counts_passages_and_misses():
    assert precision_at(["a", "a", "x"], ["a"], 3) == pytest.approx(2 / 3)
    assert precision_at(["a"], ["a"], 3) == pytest.approx(1 / 3)
    assert precision_at([], ["a"], 1) == 0.0


def test_ndcg_of_known_orders():
    assert ndcg_at(["a", "b", "x"], ["b", "a"], 3) == 1.0
    assert ndcg_at(["x", "a"], ["a"], 2) == pytest.approx(1 / math.log2(3))
    assert ndcg_at(["a", "a", "b"], ["a", "b"], 3) == pytest.approx((1 + 0.5) / (1 + 1 / math.log2(3)))
    assert ndcg_at(["x"], ["a"], 1) == 0.0


def test_ndcg_agrees_with_that_of_scikit_learn():
    source = random.Random(11)
    for _ in range(200):
        documents = [f"d{n}" for n in range(8)]
        found = source.sample(documents, 8)
        gold = source.sample(documents, source.randint(1, 5))
        k = source.randint(1, 8)
        relevance = [[float(d in gold) for d in found]]
        ranks = [[float(-n) for n in range(8)]]
        assert ndcg_at(found, gold, k) == pytest.approx(ndcg_score(relevance, ranks, k=k))
