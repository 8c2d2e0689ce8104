"""Texts of like length computed together: the order, and the vectors back in theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def sort_by_length(texts: Sequence[str]) -> list[int]:
    """Positions of ``texts``, the longest first and equally long ones in their order: the same on every machine.

    The longest first, so that a batch that does not fit into memory fails at once.
    """
    return sorted(range(len(texts)), key=lambda n: -len(texts[n]))


def encode_sorted(
    texts: Sequence[str],
    encode: Callable[[list[str]], Vectors],
    batch: int,
    side_by_side: Callable[..., Iterable[Vectors]] = map,
) -> Vectors:
    """Vectors (n, d) of ``texts`` in their order, ``batch`` at a time; (0, 0) of none.

    ``side_by_side`` maps ``encode`` over the batches, in their order.
    """
    if not texts:
        return np.zeros((0, 0), dtype=np.float32)
    order = sort_by_length(texts)
    batches = [[texts[n] for n in order[start : start + batch]] for start in range(0, len(order), batch)]
    in_order = np.concatenate(list(side_by_side(encode, batches)))
    vectors = np.empty_like(in_order)
    vectors[order] = in_order
    return vectors
