"""What plugins may register: the hook of each kind of stage, and what is wrong with a class that does not fit."""

from __future__ import annotations

import re
from typing import Any

from kistack.plugins.stages import Settings, Stage

#: Registration hook to the kind its stages must have; None admits every kind that has no hook of its own.
REGISTRATIONS: dict[str, str | None] = {
    "kistack_register_retrievers": "retrieve",
    "kistack_register_distillers": "distill",
    "kistack_register_tuners": "tune",
    "kistack_register_quantizers": "quantize",
    "kistack_register_runtimes": "runtime",
    "kistack_register_evaluators": "evaluate",
    "kistack_register_profilers": "profile",
    "kistack_register_sources": "source",
    "kistack_register_stages": None,
}

_NAME = re.compile(r"[a-z][a-z0-9-]*/[a-z0-9][a-z0-9._-]*")


def fault_of(cls: Any, kind: str | None) -> str:
    """What is wrong with a registered class, or an empty string."""
    if not (isinstance(cls, type) and issubclass(cls, Stage)):
        return f"{cls!r} is not a subclass of kistack.plugins.stages.Stage"
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{cls.__name__}.name is {name!r}: it must read kind/name in lower case"
    own = name.partition("/")[0]
    if kind is not None and own != kind:
        return f"{name} must be named {kind}/… to be registered here"
    reserved = {k for k in REGISTRATIONS.values() if k is not None}
    if kind is None and own in reserved:
        return f"{name} has its own hook for kind {own!r}"
    if not (isinstance(cls.Settings, type) and issubclass(cls.Settings, Settings)):
        return f"{name}.Settings is not a subclass of kistack.plugins.stages.Settings"
    return ""
