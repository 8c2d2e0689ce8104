import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import A100, HERE, MINILM

from kistack.plugins import costs


def test_embedding_speed():
    # measured: 3,100 to 3,300 tokens per second and core
    assert 1000 / costs.embed_seconds(MINILM, 1000, HERE) == pytest.approx(5_000, rel=0.3)


def test_embedding_on_a_gpu_is_faster():
    assert costs.embed_seconds(MINILM, 1000, A100) < costs.embed_seconds(MINILM, 1000, HERE) / 10


def test_bytes_of_indexes():
    # FAISS wiki, Guidelines to choose an index: 4 d bytes a vector, HNSW 4 d + 2 M 4
    assert costs.flat_index_bytes(1e6, 384) == 1e6 * 4 * 384
    assert costs.hnsw_index_bytes(1e6, 384, 32) == 1e6 * (4 * 384 + 2 * 32 * 4)


def test_an_exact_search_reads_every_vector():
    # measured by this project: 100,000 vectors of 384 numbers, numpy, 2 cores: 13 ms a query in batches
    assert costs.flat_query_seconds(1e5, 384, HERE) == pytest.approx(13e-3, rel=0.6)


@given(st.floats(1, 1e9), st.integers(8, 4096), st.integers(4, 64))
def test_a_graph_takes_more_memory_and_no_more_time(vectors, dimension, neighbours):
    assert costs.hnsw_index_bytes(vectors, dimension, neighbours) > costs.flat_index_bytes(vectors, dimension)
    exact = costs.flat_query_seconds(vectors, dimension, HERE)
    assert 0 < costs.hnsw_query_seconds(vectors, dimension, HERE, neighbours) <= exact
    assert costs.flat_query_seconds(2 * vectors, dimension, HERE) > exact


def test_a_graph_pays_where_there_are_many_vectors():
    assert costs.hnsw_query_seconds(1e6, 384, HERE) < costs.flat_query_seconds(1e6, 384, HERE) / 100
    assert costs.hnsw_query_seconds(1e7, 384, HERE, kept=64) > costs.hnsw_query_seconds(1e7, 384, HERE, kept=16)
