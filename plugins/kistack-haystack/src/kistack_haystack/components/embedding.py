"""Haystack's embedders over the embedder that the scenario names: no hub is asked, no server called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from haystack import Document, component
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kistack_torch.embedding.encoders import Encoder

Vectors = NDArray[np.float32]


@component
class PassageEmbedder:
    """A document embedder; ``embed`` turns texts into vectors (n, d)."""

    def __init__(self, embed: Callable[[list[str]], Vectors]) -> None:
        self._embed = embed

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """The documents with their embeddings."""
        vectors = self._embed([str(document.content) for document in documents])
        pairs = zip(documents, vectors, strict=True)
        return {"documents": [replace(document, embedding=vector.tolist()) for document, vector in pairs]}


@component
class QuestionEmbedder:
    """A text embedder; what ``prepare`` was given is embedded together, which takes a third of the time."""

    def __init__(self, encoder: Encoder, batch: int) -> None:
        self._encoder = encoder
        self._batch = batch
        self._known: dict[str, list[float]] = {}

    def prepare(self, questions: Sequence[str]) -> None:
        """Embed all ``questions``, and forget those before."""
        vectors = self._encoder.encode(questions, "query", batch=self._batch).tolist()
        self._known = dict(zip(questions, vectors, strict=True))

    @component.output_types(embedding=list[float])  # type: ignore[untyped-decorator]
    def run(self, text: str) -> dict[str, Any]:
        """The vector of one question."""
        if text not in self._known:
            self.prepare([text])
        return {"embedding": self._known[text]}
