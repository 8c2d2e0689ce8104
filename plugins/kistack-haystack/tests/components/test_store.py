import json

import numpy as np
import pytest
from haystack import Document
from haystack.document_stores.in_memory import InMemoryDocumentStore
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings

from kistack.errors import StoreError

SETTINGS = RetrieverSettings(bm25_k1=1.2, bm25_algorithm="BM25Plus")


def unit(count, seed=0, size=16):
    vectors = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def filled(count=40, vectors=None):
    store = FolderDocumentStore.for_settings(SETTINGS)
    store.write_documents(
        [
            Document(
                id=f"d{n}",
                content=f"Text «{n}» of word{n % 7}\nsecond line",
                meta={"document": f"doc{n // 2}", "title": f"T{n}", "shown_from": 0},
                embedding=None if vectors is None else vectors[n].tolist(),
            )
            for n in range(count)
        ]
    )
    return store


@pytest.fixture
def stored(tmp_path):
    vectors = unit(40)
    filled(vectors=vectors).write(tmp_path, {"embedder": "e"})
    return tmp_path, vectors


def test_what_was_written_is_read(stored):
    folder, vectors = stored
    store = FolderDocumentStore.read(folder)
    assert store.about["embedder"] == "e"
    assert store.vectors == pytest.approx(vectors)
    assert [d.id for d in store.storage.values()] == [f"d{n}" for n in range(40)]
    assert store.storage["d3"].content == "Text «3» of word3\nsecond line"
    assert store.storage["d3"].meta == {"document": "doc1", "title": "T3", "shown_from": 0}


def test_haystack_alone_opens_the_documents_and_finds_the_same_words(stored):
    plain = InMemoryDocumentStore.load_from_disk(str(stored[0] / "documents.json"))
    store = FolderDocumentStore.read(stored[0])
    for query in ("word3", "second line of 12", "text"):
        expected = [(d.id, d.score) for d in plain.bm25_retrieval(query, top_k=9)]
        assert [(d.id, d.score) for d in store.bm25_retrieval(query, top_k=9)] == expected
    assert (store.bm25_algorithm, store.bm25_parameters) == ("BM25Plus", {"k1": 1.2, "b": 0.75})


def test_vectors_find_what_haystack_finds_with_its_lists(stored):
    folder, vectors = stored
    plain, store = filled(vectors=vectors), FolderDocumentStore.read(folder)
    for query in unit(20, seed=1):
        expected = InMemoryDocumentStore.embedding_retrieval(plain, query.tolist(), top_k=5)
        found = store.embedding_retrieval(query.tolist(), top_k=5)
        assert [d.id for d in found] == [d.id for d in expected]
        assert [d.score for d in found] == pytest.approx([d.score for d in expected], abs=1e-5)


def test_filters_are_kept(stored):
    store = FolderDocumentStore.read(stored[0])
    only = {"field": "meta.document", "operator": "==", "value": "doc1"}
    assert [d.id for d in store.filter_documents(only)] == ["d2", "d3"]
    assert {d.id for d in store.bm25_retrieval("text", filters=only)} == {"d2", "d3"}


def test_equal_scores_come_in_the_order_of_the_documents(tmp_path):
    filled(6, np.ones((6, 4), dtype=np.float32)).write(tmp_path, {})
    found = FolderDocumentStore.read(tmp_path).embedding_retrieval([1.0] * 4, top_k=4)
    assert [d.id for d in found] == ["d0", "d1", "d2", "d3"]


def test_a_question_of_another_length_is_refused(stored):
    with pytest.raises(StoreError, match="16 dimensions, the embedder's 8"):
        FolderDocumentStore.read(stored[0]).embedding_retrieval([1.0] * 8)


def test_the_same_content_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        size = filled(vectors=unit(40)).write(tmp_path / name, {"z": 1, "a": 2})
        assert size == sum(f.stat().st_size for f in (tmp_path / name).iterdir())
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_without_vectors_there_is_no_file_of_them(tmp_path):
    filled().write(tmp_path, {})
    assert not (tmp_path / "vectors.npy").exists()
    assert FolderDocumentStore.read(tmp_path).vectors is None


@pytest.mark.parametrize("name", ["vectors.npy", "documents.json", "index.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"damaged\nlines\n", b"[]", b"\xff"])
def test_a_damaged_file_is_noticed_when_opening(stored, name, content):
    (stored[0] / name).unlink()
    if content is not None:
        (stored[0] / name).write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        FolderDocumentStore.read(stored[0])
    assert caught.value.hint


def test_files_that_do_not_belong_together_are_noticed(stored):
    np.save(stored[0] / "vectors.npy", unit(39))
    with pytest.raises(StoreError, match="do not belong together"):
        FolderDocumentStore.read(stored[0])


def test_pickled_vectors_are_not_read(stored):
    np.save(stored[0] / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError):
        FolderDocumentStore.read(stored[0])


def test_an_index_from_the_future_is_refused(stored):
    path = stored[0] / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(StoreError, match="newer version"):
        FolderDocumentStore.read(stored[0])
