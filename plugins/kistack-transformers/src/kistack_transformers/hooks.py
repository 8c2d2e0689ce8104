"""What this plugin registers."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_transformers.matmul import Matmul
from kistack_transformers.runtime import TransformersRuntime
from kistack_transformers.sources import FolderSource, GgufSource, HubSource, PackageSource

EXTRAS = {"adapters": "opening an adapter beside its base (hf+peft), unmerged"}


@hookimpl
def kistack_register_sources() -> list[type[Stage]]:
    """A local folder, the hub, a GGUF file, an installed package."""
    return [FolderSource, HubSource, GgufSource, PackageSource]


@hookimpl
def kistack_register_runtimes() -> list[type[Stage]]:
    """The eager runtime."""
    return [TransformersRuntime]


@hookimpl
def kistack_register_profilers() -> list[type[Stage]]:
    """Matrix throughput."""
    return [Matmul]
