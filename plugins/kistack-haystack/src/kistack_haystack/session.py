"""An opened index: questions in, passages out, through a query pipeline of Haystack."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from kistack.domain.artifacts import Artifact
from kistack.domain.prompt import Passage
from kistack.errors import StoreError
from kistack_haystack.components.asking import ask, question_pipeline
from kistack_haystack.components.embedding import QuestionEmbedder
from kistack_haystack.components.passages import told
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings


class PipelineSession:
    """An index opened, with its embedder where passages are found by meaning.

    Raises:
        StoreError: the index is damaged, or was made with another embedder or for another method.
        ModelError: the embedder cannot be loaded.

    """

    def __init__(self, index: Artifact, settings: RetrieverSettings, embedder: Artifact | None) -> None:
        self._store = FolderDocumentStore.read(index.path)
        method = str(self._store.about.get("method", settings.method))
        if settings.method not in {"auto", method}:
            raise StoreError(
                f"{index.path}: this index was made for the method {method!r}, not {settings.method!r}", "index again"
            )
        settings = settings.model_copy(update={"method": method})
        self._questions = _questions(index, self._store, settings, embedder) if settings.embeds else None
        self._pipeline = question_pipeline(self._store, settings, self._questions)

    def search(self, queries: Sequence[str]) -> list[list[Passage]]:
        """For each query its passages, best first.

        The score is BM25's, the cosine (or dot product) of the vectors, or that of the fused ranks (1 where both
        methods put a passage first). Where only words are looked for, a query may find fewer passages, or none.
        """
        # Haystack refuses an empty query; a blank one has no words.
        asked = [query or " " for query in queries]
        with self._one_thread():
            if self._questions is not None and asked:
                self._questions.prepare(asked)
            return [[told(document) for document in ask(self._pipeline, query)] for query in asked]

    def _one_thread(self) -> AbstractContextManager[None]:
        if self._questions is None:
            return nullcontext()
        from kistack_torch.embedding.bert import one_thread_each

        return one_thread_each()

    def close(self) -> None:
        """Let go of the passages and of the thread that Haystack keeps for them."""
        self._store.shutdown()


def _questions(
    index: Artifact, store: FolderDocumentStore, settings: RetrieverSettings, embedder: Artifact | None
) -> QuestionEmbedder:
    from kistack_torch.embedding.encoders import open_encoder

    if embedder is None:
        raise StoreError(f"{index.path}: the embedder of this index is missing", "copy the whole bundle")
    made_with = store.about.get("embedder", "")
    if made_with and embedder.digest and made_with != embedder.digest:
        raise StoreError(
            f"{index.path}: this index was made with another embedder", "open it with its own, or index again"
        )
    return QuestionEmbedder(open_encoder(embedder.path), settings.batch)
