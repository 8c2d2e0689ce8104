import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from kistack_llamaindex.store import VectorStore, best, write_store

from kistack.errors import StoreError


def rows(count):
    return [
        {"id": f"d{n}", "document": f"doc{n // 2}", "text": f"Text «{n}»\nsecond line", "title": f"T{n}", "date": ""}
        for n in range(count)
    ]


def unit(count, seed=0, size=16):
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def stored(tmp_path):
    vectors = unit(300)
    write_store(tmp_path, rows(300), vectors, {"embedder": "e"})
    return tmp_path, vectors


def test_search_finds_what_comparing_with_everything_finds(stored):
    folder, vectors = stored
    store = VectorStore(folder)
    queries = unit(130, seed=1)
    for query, found in zip(queries, store.search(queries, 5), strict=True):
        expected = np.argsort(-(vectors @ query))[:5]
        assert [p.id for p in found] == [f"d{n}" for n in expected]
        assert [p.score for p in found] == pytest.approx((vectors @ query)[expected], abs=1e-5)
    store.close()


def test_passages_come_back_as_they_were(stored):
    store = VectorStore(stored[0])
    passage = store.search(stored[1][7:8], 1)[0][0]
    assert (passage.id, passage.document, passage.title) == ("d7", "doc3", "T7")
    assert passage.text == "Text «7»\nsecond line"
    assert passage.score == pytest.approx(1.0, abs=1e-5)
    assert len(store) == 300
    assert store.dimension == 16


def test_more_passages_than_there_are_gives_all(stored):
    found = VectorStore(stored[0]).search(unit(1, seed=2), 1000)[0]
    assert len(found) == 300
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


def test_equal_scores_come_in_the_order_of_the_documents(tmp_path):
    write_store(tmp_path, rows(6), np.ones((6, 4), dtype=np.float32), {})
    assert [p.id for p in VectorStore(tmp_path).search(np.ones((1, 4), dtype=np.float32), 4)[0]] == [
        "d0",
        "d1",
        "d2",
        "d3",
    ]


def test_a_search_in_company_finds_the_same_as_alone(stored):
    store = VectorStore(stored[0])
    queries = unit(70, seed=3)
    together = store.search(queries, 3)
    assert together == [store.search(queries[n : n + 1], 3)[0] for n in range(70)]


def test_the_same_content_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        size = write_store(tmp_path / name, rows(20), unit(20), {"z": 1, "a": 2})
        assert size == sum(f.stat().st_size for f in (tmp_path / name).iterdir())
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, st.integers(1, 60), elements=st.floats(-1, 1, width=16)), st.integers(1, 70))
def test_the_best_are_those_of_a_stable_sort(scores, top_k):
    expected = sorted(range(len(scores)), key=lambda n: (-scores[n], n))[:top_k]
    assert best(scores, top_k).tolist() == expected


@pytest.mark.parametrize("name", ["vectors.npy", "passages.jsonl", "index.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"damaged\nlines\n"])
def test_a_damaged_file_is_noticed_when_opening(stored, name, content):
    folder = stored[0]
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        VectorStore(folder)
    assert caught.value.hint


def test_pickled_vectors_are_not_read(stored):
    np.save(stored[0] / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError):
        VectorStore(stored[0])


def test_a_damaged_passage_is_noticed_when_read(stored):
    path = stored[0] / "passages.jsonl"
    lines = path.read_text().splitlines()
    lines[7] = "{" + " " * (len(lines[7]) - 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(StoreError, match="passage 7"):
        VectorStore(stored[0]).search(stored[1][7:8], 1)


def test_an_index_from_the_future_is_refused(stored):
    path = stored[0] / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(StoreError, match="newer version"):
        VectorStore(stored[0])
