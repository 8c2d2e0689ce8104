from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_haystack.components.indexing import index_corpus, indexing_pipeline
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings

SENTENCES = " ".join(f"Sentence number {n} stands here." for n in range(40))


def indexed(folder, embed=None, **settings):
    """The passages of the corpus in a folder."""
    chosen = RetrieverSettings(method="bm25", **settings)
    store = FolderDocumentStore.for_settings(chosen)
    index_corpus(indexing_pipeline(store, chosen, embed), folder)
    return list(store.storage.values())


def test_short_documents_are_one_passage_each(corpus_in, tmp_path):
    found = indexed(corpus_in(tmp_path))
    assert [d.id for d in found] == ["php/8.1", "php/8.2", "django", "king"]


def test_long_documents_are_cut_at_sentences(corpus_in, tmp_path):
    found = indexed(corpus_in(tmp_path, [{"id": "d", "text": SENTENCES}]), split_length=24)
    assert [d.id for d in found[:3]] == ["d", "d#1", "d#2"]
    assert all(d.content.endswith("here.") for d in found)
    assert all(len(d.content.split()) <= 24 for d in found)
    assert [SENTENCES[d.meta["start"] :].startswith(d.content) for d in found] == [True] * len(found)


@pytest.mark.parametrize(
    ("split_by", "length", "expected"),
    [
        ("word", 3, ["one two three\nfour", "five\n\nsix\x0cseven"]),
        ("line", 1, ["one two three", "four five", "six\x0cseven"]),
        ("passage", 1, ["one two three\nfour five", "six\x0cseven"]),
        ("page", 1, ["one two three\nfour five\n\nsix", "seven"]),
    ],
)
def test_documents_are_cut_where_the_setting_says(corpus_in, tmp_path, split_by, length, expected):
    rows = [{"id": "d", "text": "one two three\nfour five\n\nsix\fseven"}]
    found = indexed(corpus_in(tmp_path, rows), split_by=split_by, split_length=length)
    assert [d.content for d in found] == expected


@pytest.mark.parametrize("split_by", ["word", "recursive"])
def test_neighbours_share_what_the_setting_says(corpus_in, tmp_path, split_by):
    rows = [{"id": "d", "text": " ".join(f"w{n}" for n in range(20))}]
    found = [
        d.content.split()
        for d in indexed(corpus_in(tmp_path, rows), split_by=split_by, split_length=8, split_overlap=3)
    ]
    assert [len(words) <= 8 for words in found] == [True] * len(found)
    assert all(one[-3:] == two[:3] for one, two in pairwise(found))


def test_cleaning_keeps_paragraphs_lines_and_pages(corpus_in, tmp_path):
    text = "one   two\t three \n\n\n\n four\n five\f\fsix"
    folder = corpus_in(tmp_path, [{"id": "d", "text": text}])
    assert indexed(folder)[0].content == text.strip()
    [cleaned] = indexed(folder, clean=True)
    assert cleaned.content == "one two three\n\nfour\nfive\f\fsix"
    assert (cleaned.id, cleaned.meta["document"]) == ("d", "d")


def test_vectors_are_those_of_what_is_searched(corpus_in, tmp_path):
    seen = []

    def embed(texts):
        seen.extend(texts)
        return np.ones((len(texts), 3), dtype=np.float32)

    found = indexed(corpus_in(tmp_path), embed)
    assert seen == [d.content for d in found]
    assert "PHP\nSupport for it ends on may 31." in seen
    assert all(d.embedding == [1.0, 1.0, 1.0] for d in found)


@given(st.lists(st.text("ab .\n\f", min_size=1, max_size=120), min_size=1, max_size=4), st.integers(2, 12), st.data())
def test_every_word_of_every_document_is_in_some_passage(corpus_in, tmp_path_factory, texts, length, data):
    rows = [{"id": f"d{n}", "text": text} for n, text in enumerate(texts) if text.strip()]
    overlap = data.draw(st.integers(0, length - 1))
    if not rows:
        return
    found = indexed(corpus_in(tmp_path_factory.mktemp("corpus"), rows), split_length=length, split_overlap=overlap)
    for row in rows:
        passages = " ".join(d.content for d in found if d.meta["document"] == row["id"])
        assert set(row["text"].split()) <= set(passages.split())
