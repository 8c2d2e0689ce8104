"""The ways in which a run is asked to stop: ctrl-C, SIGTERM, a file in its folder, or its caller."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import psutil

CANCEL_FILE = "cancel"

#: Start times of processes are counted from the boot, in hundredths of a second.
_SLACK_SECONDS = 0.1


class StopSign:
    """Whether a run is to stop. Asked often, so it costs next to nothing."""

    def __init__(self, run_dir: Path, asked: Callable[[], bool] | None = None) -> None:
        self._file = run_dir / CANCEL_FILE
        self._asked = asked or (lambda: False)
        self._signalled = False

    def __call__(self) -> bool:
        """Whether anybody has asked for it."""
        return self._signalled or self._asked() or self._filed()

    def obeyed(self) -> None:
        """Take the file away: a later run in this folder must not find it."""
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _filed(self) -> bool:
        try:
            # One that is older than this process was meant for another.
            return self._file.stat().st_mtime >= _process_start() - _SLACK_SECONDS
        except OSError:
            return False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take ctrl-C and SIGTERM as wishes to stop, where nobody else has a use for them; a second ctrl-C insists."""
        replaced: dict[signal.Signals, object] = {}
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            for number, handler in usual.items():
                if signal.getsignal(number) is handler:
                    signal.signal(number, self._on_signal)
                    replaced[number] = handler
        try:
            yield
        finally:
            for number, handler in replaced.items():
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signalled and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signalled = True


@cache
def _process_start() -> float:
    return psutil.Process().create_time()
