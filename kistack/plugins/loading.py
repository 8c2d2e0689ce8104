"""Importing and registering one plugin: whatever goes wrong is its own error, and harms nothing else."""

from __future__ import annotations

import contextlib
import difflib
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pluggy

from kistack.plugins import API_VERSION, hookspecs, patience

#: Where a plugin says which version of the plugin API it was written against.
API_ATTRIBUTE = "KISTACK_API"

_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass
class Loading:
    """What is known of a plugin while it is loaded."""

    name: str
    distribution: str = ""
    version: str = ""
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    disabled: bool = False
    stages: list[str] = field(default_factory=list)


def register(manager: pluggy.PluginManager, loading: Loading, load: Callable[[], Any]) -> None:
    """Import and register one plugin; a faulty one leaves no trace in the manager."""
    start = time.perf_counter()
    try:
        with harmless(), patience.within(patience.IMPORT_SECONDS):
            plugin = load()
        if fault := api_fault(getattr(plugin, API_ATTRIBUTE, None)):
            loading.errors.append(fault)
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            manager.register(plugin, name=loading.name)
        loading.notes += [str(w.message) for w in caught if issubclass(w.category, DeprecationWarning)]
        manager.check_pending()
    except patience.TooLong:
        loading.errors.append(f"cannot be imported within {patience.IMPORT_SECONDS:g} seconds")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything, and must not harm the others
        loading.errors.append(_explain(error))
        if manager.has_plugin(loading.name):
            manager.unregister(name=loading.name)
    finally:
        loading.seconds = time.perf_counter() - start


def api_fault(declared: object, ours: str = API_VERSION) -> str:
    """Why a plugin written against version ``declared`` cannot be used with version ``ours``; empty where it can.

    None (nothing declared) is taken as it is. Within one major version hooks and fields are only added, so an older
    minor version is served and a newer one asks for what is not there yet; another major version is another contract.
    """
    if declared is None:
        return ""
    read = _VERSION.fullmatch(declared) if isinstance(declared, str) else None
    if read is None:
        return f"{API_ATTRIBUTE} is {declared!r}: it must read like {API_VERSION!r}"
    own = ours.split(".")
    theirs, here = (int(read[1]), int(read[2])), (int(own[0]), int(own[1]))
    if theirs[0] == here[0] and theirs[1] <= here[1]:
        return ""
    remedy = "update kistack" if theirs > here else "update the plugin"
    return f"it was written against plugin API {declared}, this kistack has {ours}: {remedy}"


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """While a plugin's code runs in the process of a command: what it prints does not mix with the result.

    Standard output belongs to the whole process, so other threads than the main one (the wizard's, which has no result
    there) leave it alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _explain(error: BaseException) -> str:
    text = (f"{type(error).__name__}: {error}".splitlines() or [""])[0]
    if isinstance(error, pluggy.PluginValidationError):
        known = [n for n in vars(hookspecs) if n.startswith("kistack_")]
        unknown = re.search(r"unknown hook '?(\w+)'?", str(error))
        if unknown:
            close = difflib.get_close_matches(unknown[1], known, n=1)
            return f"unknown hook {unknown[1]!r}" + (f": did you mean {close[0]!r}?" if close else "")
        return " ".join(str(error).split())
    if isinstance(error, ImportError | SystemExit):
        return f"cannot be imported: {text}"
    return text
