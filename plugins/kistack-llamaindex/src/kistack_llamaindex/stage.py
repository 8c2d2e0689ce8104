"""``retrieve/llamaindex``: documents to an index, and the index opened."""

from __future__ import annotations

from collections.abc import Mapping

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.sessions import IndexSession
from kistack.plugins.stages import Context, Load, Need, Opens, Out, Port, Stage, Traits
from kistack_llamaindex.costs import NUMBERING_TOKENS, estimate_build, estimate_search
from kistack_llamaindex.settings import RetrieverSettings

FORMAT = "llamaindex"

#: Mean tokens of a document above which how it is cut matters.
_LONG_DOCUMENT = 160.0
#: Characters of a token, roughly: only to foresee how many passages there will be.
_CHARACTERS = 4


class LlamaIndexRetriever(Stage):
    """Cuts documents into passages, embeds and stores them, and finds those nearest to a question."""

    name = "retrieve/llamaindex"
    summary = "passages found by embedding, exact search on disk, with their sources"
    libraries = ("llama-index-core", "nltk", "numpy", "tokenizers", "torch", "transformers", "kistack-torch")
    Settings = RetrieverSettings
    open_settings = frozenset({"top_k"})

    def traits(self, settings: RetrieverSettings) -> Traits:
        """The index travels with its embedder, because questions are embedded like documents."""
        return Traits(
            consumes={
                "corpus": Port(kind="corpus", where={"format": "jsonl"}, hint="name documents under knowledge.corpus"),
                "embedder": Port(
                    kind="embedder",
                    where={"format": "sentence-transformers"},
                    hint="name one under models.embedder",
                ),
            },
            produces={"index": Out(kind="index", format=FORMAT, requires=("embedder",), serve=True)},
            needs=(Need(fact="count", at_least=1, port="corpus", hint="add documents under knowledge.corpus"),),
            packages=("llama_index.core", "transformers", "torch"),
            opens=(Opens(kind="index", format=FORMAT, gives=("search",)),),
            # Vectors and texts lie in main memory also where a GPU embeds the documents.
            processor=True,
        )

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[RetrieverSettings]:
        """Three and five passages; where documents are long, also shorter passages and more of them."""
        corpus = inputs.get("corpus")
        mean = corpus.fact("tokens") / max(1.0, corpus.fact("count", 1.0)) if corpus else 0.0
        found = [RetrieverSettings(), RetrieverSettings(top_k=5)]
        if mean > _LONG_DOCUMENT:
            found.append(RetrieverSettings(top_k=5, chunk_tokens=128, overlap=16))
        return found

    def estimate(self, settings: RetrieverSettings, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Time, memory and size of the index."""
        return estimate_build(settings, profile, inputs["corpus"], inputs["embedder"])

    def serving(self, settings: RetrieverSettings, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Time of one search, memory of the opened index, and the tokens its passages add to a prompt."""
        return estimate_search(settings, profile, artifact)

    def run(self, settings: RetrieverSettings, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Build the index; a killed run goes on after its last finished batch."""
        import numpy as np
        from kistack_torch.embedding.batching import sort_by_length
        from kistack_torch.embedding.building import embed_resumably
        from kistack_torch.embedding.encoders import open_encoder

        from kistack.plugins.texts import read_texts
        from kistack_llamaindex.nodes import BATCHES, EncoderEmbedding, embedded_text, make_nodes, passage_row
        from kistack_llamaindex.store import write_store

        texts, empty = read_texts(ctx.input("corpus").path)
        if empty:
            ctx.log(f"{empty} documents without text are left out of the index")
        embedder = ctx.input("embedder")
        expected = sum(1 + len(text.text) // (_CHARACTERS * settings.chunk_tokens) for text in texts)
        encoder = open_encoder(embedder.path, expected)
        nodes = list(make_nodes(texts, settings, encoder.tokens, encoder.room))
        if encoder.room < settings.chunk_tokens and len(nodes) > len(texts):
            ctx.log(f"passages are cut at {encoder.room} tokens, the most that the embedder reads")
        passages = [passage_row(node) for node in nodes]
        embedded = [embedded_text(node) for node in nodes]
        embedding = EncoderEmbedding(encoder, settings.batch)
        vectors = embed_resumably(
            embedded,
            sort_by_length(embedded),
            lambda batch: np.asarray(embedding.get_text_embedding_batch(batch), dtype=np.float32),
            batch=settings.batch * BATCHES,
            scratch=ctx.scratch,
            on_done=lambda done, rate: ctx.progress(done, len(nodes), "passages", passages_per_second=rate),
        )
        about = {"embedder": embedder.digest, "documents": len(texts)}
        size = write_store(ctx.out("index"), passages, vectors, about)
        tokens = sum(len(encoder.tokens(p["text"])) for p in passages) / len(passages)
        return {
            "index": {
                "count": len(passages),
                "bytes": size,
                "documents": len(texts),
                "dimension": int(vectors.shape[1]),
                "passages": settings.top_k,
                "passage_tokens": tokens + NUMBERING_TOKENS,
            }
        }

    def open(self, settings: RetrieverSettings, artifact: Artifact, parts: Mapping[str, Artifact]) -> IndexSession:
        """The index with the embedder that travels with it, ready to search."""
        from kistack_llamaindex.session import StoreSession

        embedder = parts["embedder"]
        return StoreSession(
            artifact.path,
            embedder.path,
            top_k=settings.top_k,
            batch=settings.batch,
            embedder_digest=embedder.digest,
        )
