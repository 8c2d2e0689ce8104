"""Registers the retriever."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_haystack.stage import HaystackRetriever

EXTRAS = {"embedding": "retrieval by meaning, alone or fused with BM25 (methods embedding and hybrid)"}


@hookimpl
def kistack_register_retrievers() -> list[type[Stage]]:
    """One retriever."""
    return [HaystackRetriever]
