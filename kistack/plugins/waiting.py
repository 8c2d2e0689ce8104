"""How threads that compute together wait for each other: they spin for a moment, then sleep.

GNU OpenMP, which PyTorch and llama.cpp use on Linux, reads this once, when it is loaded. Left alone its threads spin
for 300,000 rounds at each of the hundreds of places in a token where they meet. Where another program has one of the
cores, what they wait for is not even running, and training takes twenty times as long. Put to sleep at once, they lose
half of their speed and more on an idle machine. Both measured: see docs/log.md, "Threads that wait".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

#: Rounds: a third to half a millisecond on the processor where this was measured.
_BRIEF = {"GOMP_SPINCOUNT": "10000"}
_CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def brief_waiting() -> dict[str, str]:
    """Environment variables for a process that is to compute; none where the user has set one of them."""
    return {} if any(name in os.environ for name in _CHOICES) else dict(_BRIEF)


@contextlib.contextmanager
def waiting_briefly() -> Iterator[None]:
    """For what is loaded within, into this process."""
    added = brief_waiting()
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
