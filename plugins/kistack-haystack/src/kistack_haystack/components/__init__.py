"""What this plugin adds to Haystack, and all of it that imports Haystack.

Importing the package imports Haystack so that it neither sends usage statistics, as it would with every run of a
pipeline, nor loads torch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        """What the module holds; it is imported now."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def _import_haystack() -> None:
    # Read once, when haystack is imported.
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    if "haystack" in sys.modules:
        # By someone else in this process.
        sys.modules["haystack.telemetry._telemetry"].telemetry = None  # type: ignore[attr-defined]
        return
    spec = None if "torch" in sys.modules else find_spec("torch")
    if spec is None:
        import_module("haystack")
        return
    # Haystack imports torch wherever it is installed, to ask for devices once it is told to: 5 s and 0.3 GB.
    later = Later("torch")
    later.__spec__ = spec
    sys.modules["torch"] = later
    try:
        import_module("haystack")
    finally:
        if sys.modules.get("torch") is later:
            del sys.modules["torch"]


_import_haystack()
