"""Registers the retriever."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_llamaindex.stage import LlamaIndexRetriever


@hookimpl
def kistack_register_retrievers() -> list[type[Stage]]:
    """One retriever."""
    return [LlamaIndexRetriever]
