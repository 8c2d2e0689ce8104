"""Seconds of embedding texts, bytes of indexes, seconds of searching them."""

from __future__ import annotations

import math

from kistack.domain.artifacts import Type
from kistack.plugins.costs.machines import Machine
from kistack.plugins.costs.shapes import embedding_params

#: Share of the fp32 peak that a small sentence encoder reaches on CPU cores, in batches, and of a GPU's in 16 bits.
#: Measured (MiniLM-L6, 22.7 M); as prompts of language models on a GPU.
_EMBED_CPU, _EMBED_GPU = 0.38, 0.45
#: A query alone reads vectors at half the speed of copying. Measured: exact search with numpy.
_SCAN_SHARE = 0.5
#: Bytes of one link to a neighbour. Source: FAISS wiki, Guidelines to choose an index (4·d + 8·M bytes a vector).
_LINK_BYTES = 4.0
#: Neighbours per vector, and candidates kept while searching, of an index nobody tuned. Source: FAISS, IndexHNSW.
_NEIGHBOURS, _KEPT = 32, 16
#: Seconds to fetch a vector that is in no cache: main memory's latency. Source: Dean, numbers everyone should know.
_FETCH_SECONDS = 1e-7
#: Share of the neighbours looked at that were not seen before: assumed; neighbours of neighbours are often shared.
_NEW_SHARE = 0.5


def embed_seconds(embedder: Type, tokens: float, m: Machine) -> float:
    """Seconds to embed ``tokens`` in batches: 2·N FLOPs a token, N without the embedding table."""
    params = max(0.0, embedder.fact("params") - embedding_params(embedder))
    efficiency = _EMBED_GPU if m.gpus else _EMBED_CPU
    return 2 * params * tokens / (efficiency * m.matrix_product("fp32")[0])


def flat_index_bytes(vectors: float, dimension: float, width: float = 4.0) -> float:
    """Bytes of vectors that are searched exactly, ``width`` bytes a number. Source: FAISS wiki, 4·d bytes a vector."""
    return vectors * dimension * width


def hnsw_index_bytes(vectors: float, dimension: float, neighbours: int = _NEIGHBOURS, width: float = 4.0) -> float:
    """Bytes of an HNSW graph over vectors: twice ``neighbours`` links each at the lowest level, where most are."""
    return vectors * (dimension * width + 2 * neighbours * _LINK_BYTES)


def flat_query_seconds(vectors: float, dimension: float, m: Machine, width: float = 4.0) -> float:
    """Seconds of one exact search: every vector is read once. Batches of queries share the reading."""
    return flat_index_bytes(vectors, dimension, width) / (_SCAN_SHARE * m.bandwidth)


def hnsw_query_seconds(
    vectors: float, dimension: float, m: Machine, neighbours: int = _NEIGHBOURS, kept: int = _KEPT
) -> float:
    """Seconds of one search in an HNSW graph: ``kept`` steps at the lowest level, a few at each of log N above.

    Each step looks at the neighbours of one vector, which lie anywhere in memory. Never more than an exact search.
    """
    levels = math.log(max(2.0, vectors)) / math.log(max(2, neighbours))
    looked_at = _NEW_SHARE * (kept * 2 * neighbours + levels * neighbours)
    one = _FETCH_SECONDS + 4.0 * dimension / (_SCAN_SHARE * m.bandwidth)
    return min(looked_at * one, flat_query_seconds(vectors, dimension, m))
