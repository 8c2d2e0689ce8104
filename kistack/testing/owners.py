"""Which plugin a stage belongs to."""

from __future__ import annotations

import dataclasses
import importlib
import types
from importlib import metadata
from typing import Any

from kistack.plugins import builtins
from kistack.plugins.host import ENTRY_POINT_GROUP


@dataclasses.dataclass(frozen=True, slots=True)
class Plugin:
    """The plugin of the stage: its name, its object, the module of its hooks, and its distribution where known."""

    name: str
    object: Any
    module: str
    distribution: str = ""


def find_plugin(module: str, given: Any = None) -> Plugin | None:
    """The plugin given (an object, a module or its name), else the installed one that ``module`` belongs to."""
    if isinstance(given, str):
        return Plugin(given.rpartition(".")[2], importlib.import_module(given), given)
    if given is not None:
        own = given.__name__ if isinstance(given, types.ModuleType) else type(given).__module__
        return Plugin(own.rpartition(".")[2], given, own)
    if module.startswith("kistack."):
        return Plugin("kistack", builtins, builtins.__name__, "kistack")
    top = module.partition(".")[0]
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        if point.module.partition(".")[0] == top:
            return Plugin(point.name, point.load(), point.module, point.dist.name if point.dist else "")
    return None
