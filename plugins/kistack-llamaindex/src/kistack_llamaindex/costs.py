"""What an index costs to build, to keep and to ask. Pure arithmetic; constants measured on 2 x86-64 cores."""

from __future__ import annotations

from kistack_torch.embedding.estimates import (
    EMBEDDER_SHARE,
    TORCH_BYTES,
    TORCH_SECONDS,
    complete,
    embedder_of,
    needs_torch,
    query_seconds,
)

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.costs import embed_seconds, flat_index_bytes, flat_query_seconds, machine
from kistack_llamaindex.settings import RetrieverSettings

#: Tokens that the prompt spends on a passage beside its text: its number in brackets and a line break.
NUMBERING_TOKENS = 4

#: Seconds to import LlamaIndex and to load a small embedder.
_START_SECONDS = 3.0
#: Seconds to cut out one passage (LlamaIndex nodes are rich objects).
_SPLIT_SECONDS = 0.5e-3
#: Resident bytes of a worker with LlamaIndex, and what its sentence tokenizer adds.
_BUILD_BYTES, _SENTENCES_BYTES = 0.16e9, 0.13e9
#: Resident bytes that an opened index adds beside its vectors: numpy, a tokenizer, room to compute in.
_OPEN_BYTES = 0.06e9
#: Bytes around the text of a stored passage (ids, title, date, names of fields), and of the files' headers. A document
#: that is one passage takes what it takes in the corpus.
_ROW_BYTES, _FRAME_BYTES = 130.0, 300.0
#: Bytes that a passage takes in memory as a node while the index is built.
_NODE_BYTES = 8e3


def count_passages(settings: RetrieverSettings, documents: float, tokens: float) -> tuple[float, float]:
    """(passages, mean tokens of one) that ``documents`` of ``tokens`` in all are cut into, lengths taken as even."""
    mean = tokens / max(1.0, documents)
    if mean <= settings.chunk_tokens:
        return documents, mean
    step = settings.chunk_tokens - settings.overlap
    # Passages end at sentences: they are not quite full.
    per_document = 1 + (mean - settings.chunk_tokens) / (0.9 * step)
    return documents * per_document, (mean + (per_document - 1) * settings.overlap) / per_document


def estimate_build(settings: RetrieverSettings, profile: Profile, corpus: Type, embedder: Type) -> Estimate:
    """Costs of building, and the facts of the index."""
    documents = corpus.fact("count", profile.number("corpus.documents", 1.0))
    tokens = corpus.fact("tokens", 60.0 * documents)
    text_bytes = corpus.fact("bytes", 4.5 * tokens + _ROW_BYTES * documents)
    passages, passage_tokens = count_passages(settings, documents, tokens)
    embedder = complete(embedder)
    dimension = embedder.fact("hidden")
    repeated = max(1.0, passages * passage_tokens / max(1.0, tokens))
    stored = _FRAME_BYTES + 4 * dimension * passages + text_bytes * repeated + _ROW_BYTES * (passages - documents)
    with_torch = needs_torch(embedder.facets.get("family", ""), passages)
    here = machine(profile, processor=not with_torch)
    seconds = (
        _START_SECONDS
        + with_torch * TORCH_SECONDS
        + passages * _SPLIT_SECONDS
        + embed_seconds(embedder, passages * (passage_tokens + 2), here)
    )
    memory = (
        _BUILD_BYTES
        + with_torch * TORCH_BYTES
        + (_SENTENCES_BYTES if passages > documents else 0.0)
        + EMBEDDER_SHARE * embedder.fact("bytes")
        + passages * (_NODE_BYTES + 8 * dimension)
        + 3 * text_bytes * repeated
    )
    facts = {
        "bytes": stored,
        "count": passages,
        "documents": documents,
        "dimension": dimension,
        "passages": float(settings.top_k),
        "passage_tokens": passage_tokens + NUMBERING_TOKENS,
    }
    costs = {"seconds": seconds, "peak_bytes": memory, "scratch_bytes": passages * 4 * dimension}
    return Estimate(costs, {"index": facts})


def estimate_search(settings: RetrieverSettings, profile: Profile, index: Type) -> Estimate:
    """Costs of the opened index on the serving machine; its embedder is the profile's.

    One search embeds the question and reads every vector once. ``peak_bytes`` is what the index adds to a process
    that runs Python; an embedder that needs torch shares it with a runtime that has it loaded, so beside such a one
    this is an upper bound.
    """
    with_torch = needs_torch(profile.text("embedder.family"), 1)
    embedder = embedder_of(profile)
    count, dimension = index.fact("count", 1.0), index.fact("dimension", embedder.fact("hidden"))
    vectors = flat_index_bytes(count, dimension)
    searching = flat_query_seconds(count, dimension, machine(profile, "serving", processor=True))
    query = query_seconds(embedder, machine(profile, "serving", processor=not with_torch)) + searching
    memory = _OPEN_BYTES + with_torch * TORCH_BYTES + EMBEDDER_SHARE * embedder.fact("bytes") + vectors
    tokens = settings.top_k * index.fact("passage_tokens", 60.0)
    return Estimate(
        {"query_seconds": query, "peak_bytes": memory},
        {"passages": {"tokens": tokens, "count": float(settings.top_k)}},
    )
