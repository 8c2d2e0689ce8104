import math

import pytest
from kistack_metrics.retrieval_stage import EvaluateRetrieval, RetrievalScoring

from .conftest import row


def passages(*documents):
    return [{"id": f"{d}#0", "text": "t", "document": d, "title": "", "score": 0.5} for d in documents]


def test_recall_and_rank(answered, evaluate):
    rows = [
        row(0, passages=passages("php/8.0", "x", "y")),
        row(1, passages=passages("x", "php/8.1", "y")),
        row(2, passages=passages("x", "y", "z")),
        row(3, passages=passages()),
    ]
    scores = evaluate(EvaluateRetrieval(), {"answers": answered(rows)})
    assert scores.items["recall@1"] == [1.0, 0.0, 0.0, 0.0]
    assert scores.items["recall@3"] == [1.0, 1.0, 0.0, 0.0]
    assert scores.items["mrr"] == [1.0, 0.5, 0.0, 0.0]
    assert scores.totals["recall@3"].value == 0.5
    assert scores.items["precision@3"] == [pytest.approx(1 / 3), pytest.approx(1 / 3), 0.0, 0.0]
    assert scores.items["ndcg@3"] == [1.0, pytest.approx(1 / math.log2(3)), 0.0, 0.0]
    why = "at most 3 passages were retrieved for a question"
    assert scores.unavailable == {"recall@5": why, "precision@5": why, "ndcg@5": why}


def test_a_system_without_passages_is_unavailable_with_the_reason(answered, evaluate):
    scores = evaluate(EvaluateRetrieval(), {"answers": answered([row(0), row(1)])})
    assert scores.totals == {}
    assert {"recall@1", "precision@3", "ndcg@5", "mrr"} <= set(scores.unavailable)
    assert all("without passages" in reason for reason in scores.unavailable.values())


def test_items_without_gold_are_unavailable_with_the_reason(answered, evaluate):
    rows = [row(n, gold=[], passages=passages("x")) for n in range(3)]
    scores = evaluate(EvaluateRetrieval(), {"answers": answered(rows)}, RetrievalScoring(cutoffs=(1,)))
    assert all("gold" in reason for reason in scores.unavailable.values())


def test_items_with_gold_are_judged_where_others_have_none(answered, evaluate):
    rows = [row(0, passages=passages("php/8.0")), row(1, gold=[], passages=passages("x"))]
    scores = evaluate(EvaluateRetrieval(), {"answers": answered(rows)}, RetrievalScoring(cutoffs=(1,)))
    assert scores.totals["recall@1"].value == 1.0
    assert scores.totals["recall@1"].count == 1
    assert scores.items == {}
    assert "1 of 2 items" in evaluate.context.lines[0]
