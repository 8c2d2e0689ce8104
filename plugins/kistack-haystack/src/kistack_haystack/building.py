"""Building an index: the indexing pipeline, its vectors resumable, and the facts of what came out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kistack.domain.artifacts import Artifact
from kistack.plugins.stages import Context
from kistack.profiling.tokens import estimate_tokens
from kistack_haystack.components.indexing import index_corpus, indexing_pipeline
from kistack_haystack.components.passages import shown
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.costs import NUMBERING_TOKENS
from kistack_haystack.settings import RetrieverSettings

if TYPE_CHECKING:
    from kistack_haystack.components.embedding import Vectors

#: Batches computed side by side, so that several cores can take one each.
_BATCHES = 8


def build_index(settings: RetrieverSettings, ctx: Context, embedder: Artifact | None) -> dict[str, float]:
    """Write the index of ``ctx``'s corpus into its output; returns its facts. ``settings`` name a method.

    Raises:
        DataError: the corpus cannot be used.
        ModelError: the embedder cannot be loaded.

    """
    store = FolderDocumentStore.for_settings(settings)
    vectors = _Vectors(embedder, settings.batch, ctx) if embedder is not None and settings.embeds else None
    empty = index_corpus(indexing_pipeline(store, settings, vectors), ctx.input("corpus").path)
    if empty:
        ctx.log(f"{empty} documents without text are left out of the index")
    passages = list(store.storage.values())
    documents = len({p.meta["document"] for p in passages})
    about: dict[str, str | int] = {"method": settings.method, "documents": documents}
    if vectors is not None and embedder is not None:
        about["embedder"] = embedder.digest
        dimension, count = vectors.dimension, vectors.count
    else:
        dimension, count = 0, estimate_tokens
        ctx.progress(len(passages), len(passages), "passages")
    size = store.write(ctx.out("index"), about)
    store.shutdown()
    return {
        "count": len(passages),
        "bytes": size,
        "documents": documents,
        "dimension": dimension,
        "passages": settings.top_k,
        "passage_tokens": sum(count(shown(p)) for p in passages) / len(passages) + NUMBERING_TOKENS,
    }


class _Vectors:
    """Turns passages into vectors with the embedder; what a killed run finished is kept."""

    def __init__(self, embedder: Artifact, batch: int, ctx: Context) -> None:
        self._embedder = embedder
        self._batch = batch
        self._ctx = ctx
        self.dimension = 0
        self.count: Callable[[str], float] = len

    def __call__(self, texts: list[str]) -> Vectors:
        """Vectors (n, d) of ``texts``."""
        from kistack_torch.embedding.batching import sort_by_length
        from kistack_torch.embedding.building import embed_resumably
        from kistack_torch.embedding.encoders import open_encoder

        encoder = open_encoder(self._embedder.path, len(texts))
        self.count = lambda text: len(encoder.tokens(text))
        longer = sum(self.count(text) > encoder.room for text in texts)
        if longer:
            self._ctx.log(
                f"{longer} of {len(texts)} passages are longer than the {encoder.room} tokens that the embedder reads: "
                "of these only the beginning is found by meaning (lower split_length)"
            )
        vectors = embed_resumably(
            texts,
            sort_by_length(texts),
            lambda batch: encoder.encode(batch, batch=self._batch),
            batch=self._batch * _BATCHES,
            scratch=self._ctx.scratch,
            on_done=lambda done, rate: self._ctx.progress(done, len(texts), "passages", passages_per_second=rate),
        )
        self.dimension = int(vectors.shape[1])
        return vectors
