"""Which layers a student keeps."""

from __future__ import annotations


def kept_layers(layers: int, keep_every: int) -> tuple[int, ...]:
    """Which of a teacher's ``layers`` a student keeps: one in ``keep_every``, evenly spread, first and last included.

    At least two are kept (one where there is only one).
    """
    if layers < 2:  # noqa: PLR2004 - nothing lies between first and last
        return tuple(range(layers))
    count = max(2, -(-layers // keep_every))
    return tuple((2 * i * (layers - 1) + count - 1) // (2 * (count - 1)) for i in range(count))
