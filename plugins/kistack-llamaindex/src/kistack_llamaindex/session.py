"""An opened index: questions in, passages out. Imports as little as it can: opening is what a question waits for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kistack_torch.embedding.bert import one_thread_each
from kistack_torch.embedding.encoders import open_encoder

from kistack.domain.prompt import Passage
from kistack.errors import StoreError
from kistack_llamaindex.store import VectorStore


class StoreSession:
    """An index with its embedder, both opened.

    Raises:
        StoreError: the index is damaged, or was made with another embedder.
        ModelError: the embedder cannot be loaded.

    """

    def __init__(self, index: Path, embedder: Path, *, top_k: int, batch: int, embedder_digest: str = "") -> None:
        self._store = VectorStore(index)
        made_with = self._store.about.get("embedder", "")
        if made_with and embedder_digest and made_with != embedder_digest:
            raise StoreError(
                f"{index}: this index was made with another embedder", "open it with its own, or index again"
            )
        self._encoder = open_encoder(embedder)
        self._top_k = top_k
        self._batch = batch

    def search(self, queries: Sequence[str]) -> list[list[Passage]]:
        """For each query its passages, best first; the score is the cosine (or dot product) of the vectors."""
        if not queries:
            return []
        vectors = self._encoder.encode(queries, "query", batch=self._batch)
        if vectors.shape[1] != self._store.dimension:
            raise StoreError(
                f"{self._store.folder}: its vectors have {self._store.dimension} dimensions, the embedder's "
                f"{vectors.shape[1]}",
                "open it with its own embedder, or index again",
            )
        with one_thread_each():
            return self._store.search(vectors, self._top_k)

    def close(self) -> None:
        """Unmap the index and let go of the embedder."""
        self._store.close()
