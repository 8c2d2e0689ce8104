"""How long a plugin's code is waited for where it runs in the process of a command."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

#: A plugin that has not been imported after so many seconds is set aside: nobody waits for it at every command.
IMPORT_SECONDS = 20.0
#: What a stage says of itself is due within milliseconds; so long it is waited for once.
CALL_SECONDS = 10.0
#: The methods by which it does. Opening a model and running take as long as they take.
PURE = ("traits", "suggest", "resolve", "estimate", "serving")


class TooLong(BaseException):
    """It took too long. No plain exception: a plugin that catches all of those must not catch this."""


def unanswered() -> str:
    """What is said of a stage that was given up."""
    return f"did not answer within {CALL_SECONDS:g} seconds"


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise ``TooLong`` in what runs longer: only where alarms exist, are free, and reach this thread."""
    main = threading.current_thread() is threading.main_thread()
    if sys.platform == "win32" or not main or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def stop(_number: int, _frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
