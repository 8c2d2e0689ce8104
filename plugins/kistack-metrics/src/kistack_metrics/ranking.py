"""Retrieval judged by document: which of the documents that hold the answer were found, and how early."""

from __future__ import annotations

import math
from collections.abc import Sequence


def recall_at(found: Sequence[str], gold: Sequence[str], k: int) -> float:
    """Share of the documents in ``gold`` that are among the first ``k`` passages' documents (``found``, best first).

    Several passages of one document count once.
    """
    wanted = set(gold)
    return len(wanted & set(found[:k])) / len(wanted)


def reciprocal_rank(found: Sequence[str], gold: Sequence[str]) -> float:
    """1 / rank of the first passage whose document is in ``gold``, 0 if none is.

    Voorhees, "The TREC-8 Question Answering Track Report", 1999.
    """
    return next((1 / rank for rank, document in enumerate(found, 1) if document in set(gold)), 0.0)


def precision_at(found: Sequence[str], gold: Sequence[str], k: int) -> float:
    """Share of the first ``k`` passages that come from a document in ``gold``; a missing passage is a wrong one."""
    wanted = set(gold)
    return sum(document in wanted for document in found[:k]) / k


def ndcg_at(found: Sequence[str], gold: Sequence[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first ``k`` passages, 0 to 1.

    Järvelin and Kekäläinen, "Cumulated Gain-based Evaluation of IR Techniques", TOIS 2002, in the form with
    1 / log2(rank + 1) and gains of 1: the first passage of each document in ``gold`` gains, a further one of the same
    document does not, and the best order there could be has all of ``gold`` first.
    """
    wanted = set(gold)
    gained = 0.0
    for rank, document in enumerate(found[:k], 1):
        if document in wanted:
            wanted.remove(document)
            gained += 1 / math.log2(rank + 1)
    return gained / math.fsum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(set(gold))) + 1))
