"""Loading the bindings of llama.cpp so that they behave inside somebody else's process.

Left alone they spin on every core for long while waiting, take over ctrl-C, and write to the terminal.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import signal
import sys
from collections.abc import Iterator
from typing import Any

from kistack.errors import ModelError
from kistack.plugins.waiting import waiting_briefly

#: Distribution and module that hold the server, and those that hold logits.
SERVER, LOGITS = "xllamacpp", "cyllama"
#: Rounds that threads spin before they sleep: as fast on idle cores as any more, and faster beside another program.
_SPINS = 1000
#: Larger than ``struct sigaction`` on any system with one.
_SIGACTION_BYTES = 512


def has_logits() -> bool:
    """Whether the binding that gives logits is installed (told without importing it)."""
    return importlib.util.find_spec(LOGITS) is not None


def load(module: str) -> Any:
    """Import a binding, its threads told to spin but briefly while they wait for each other.

    Raises:
        ModelError: it is not installed, or a library it needs is missing.

    """
    with waiting_briefly(_SPINS):
        try:
            return importlib.import_module(module)
        except ImportError as e:
            package = module.partition(".")[0]
            raise ModelError(f"{package} cannot be loaded: {e}", f"install it: pip install {package}") from e


@contextlib.contextmanager
def kept_signals() -> Iterator[None]:
    """Put back what ctrl-C and termination did before: llama.cpp's server replaces their handlers for its process."""
    if sys.platform == "win32":
        yield
        return
    library = ctypes.CDLL(None)
    saved = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        saved[number] = ctypes.create_string_buffer(_SIGACTION_BYTES)
        library.sigaction(int(number), None, saved[number])
    try:
        yield
    finally:
        for number, action in saved.items():
            library.sigaction(int(number), action, None)


def cores() -> int:
    """Physical cores this process may use: a second thread on a core only gets in the first one's way."""
    import psutil

    from kistack.profiling import hardware

    usable = int(hardware.cores(hardware.System()).value or 1)
    return max(1, min(usable, psutil.cpu_count(logical=False) or usable))


def free_memory() -> float:
    """Bytes of memory that are free, within the limit of this process's container."""
    from kistack.profiling import hardware

    return float(hardware.memory(hardware.System())["ram_free"].value or 0)
