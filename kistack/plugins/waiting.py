"""How threads that compute together wait for each other: they spin for a moment, then sleep.

GNU OpenMP, which PyTorch and llama.cpp use on Linux, reads this once, when it is loaded; other OpenMP libraries do not.
Left alone its threads spin for 300,000 rounds at each of the hundreds of places in a token where they meet. Where
another program has one of the cores, what they wait for is not even running, and training takes ten times as long and
more. Put to sleep at once, they lose half of their speed on an idle machine. Both measured: see docs/log.md, "Threads
that wait".
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_ROUNDS, _POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
#: About half a millisecond on the processor where this was measured: what PyTorch needs to lose nothing when idle.
BRIEF = 10_000


class _Loading:
    """How many are loading something at this moment, and what stood there before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.count = 0
        self.before: str | None = None

    def enter(self, rounds: str) -> None:
        """Set the number of rounds for one more."""
        with self.lock:
            if not self.count:
                self.before = os.environ.get(_ROUNDS)
            self.count += 1
            os.environ[_ROUNDS] = rounds

    def leave(self) -> None:
        """One is done; with the last of them goes what was set."""
        with self.lock:
            self.count -= 1
            if self.count:
                return
            if self.before is None:
                os.environ.pop(_ROUNDS, None)
            else:
                os.environ[_ROUNDS] = self.before


_LOADING = _Loading()


def brief_waiting(rounds: int = BRIEF) -> dict[str, str]:
    """Environment variables for a process that is to compute; none where the user has set one of them."""
    with _LOADING.lock:
        # What a worker was started with is no choice of the user's.
        ours = _LOADING.count or os.environ.get(_ROUNDS, str(BRIEF)) == str(BRIEF)
        return {_ROUNDS: str(rounds)} if ours and _POLICY not in os.environ else {}


@contextlib.contextmanager
def waiting_briefly(rounds: int = BRIEF) -> Iterator[None]:
    """For what is loaded within, into this process; a library that is loaded already goes on as before."""
    with _LOADING.lock:
        chosen = brief_waiting(rounds)
        if chosen:
            _LOADING.enter(chosen[_ROUNDS])
    try:
        yield
    finally:
        if chosen:
            _LOADING.leave()
