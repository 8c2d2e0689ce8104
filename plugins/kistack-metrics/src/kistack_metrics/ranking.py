"""Retrieval judged by document: which of the documents that hold the answer were found, and how early."""

from __future__ import annotations

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
