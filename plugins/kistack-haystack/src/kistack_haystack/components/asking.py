"""The pipeline that brings a question to passages."""

from __future__ import annotations

from typing import Any

from haystack import Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever

from kistack_haystack.components.embedding import QuestionEmbedder
from kistack_haystack.components.running import run_pipeline
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings


def question_pipeline(
    store: FolderDocumentStore, settings: RetrieverSettings, questions: QuestionEmbedder | None
) -> Pipeline:
    """From a question to passages, by the method of the settings; ``questions`` embeds it where that is by meaning."""
    fused = settings.embeds and settings.counts_words
    top_k = max(settings.candidates, settings.top_k) if fused else settings.top_k
    pipeline = Pipeline()
    if settings.counts_words:
        pipeline.add_component("bm25_retriever", InMemoryBM25Retriever(store, top_k=top_k))
    if settings.embeds:
        pipeline.add_component("text_embedder", questions)
        pipeline.add_component("embedding_retriever", InMemoryEmbeddingRetriever(store, top_k=top_k))
        pipeline.connect("text_embedder.embedding", "embedding_retriever.query_embedding")
    if fused:
        # The retriever of words never waits for another component, so its list comes first.
        weights = [settings.bm25_weight, 1 - settings.bm25_weight]
        joiner = DocumentJoiner("reciprocal_rank_fusion", weights=weights, top_k=settings.top_k)
        pipeline.add_component("joiner", joiner)
        pipeline.connect("bm25_retriever.documents", "joiner.documents")
        pipeline.connect("embedding_retriever.documents", "joiner.documents")
    return pipeline


def ask(pipeline: Pipeline, question: str) -> list[Any]:
    """The documents that a question pipeline finds, best first."""
    inputs = {"bm25_retriever": {"query": question}, "text_embedder": {"text": question}}
    found = run_pipeline(pipeline, {name: given for name, given in inputs.items() if name in pipeline.graph})
    [outputs] = found.values()
    documents: list[Any] = outputs["documents"]
    return documents
