import pytest
from kistack_haystack.building import build_index
from kistack_haystack.settings import RetrieverSettings

from kistack.testing import LocalContext

from .conftest import DOCUMENTS, write_corpus


@pytest.fixture
def context(tmp_path):
    return LocalContext(tmp_path / "work", {"corpus": write_corpus(tmp_path / "corpus", DOCUMENTS)})


def test_tokens_are_the_embedders_where_there_is_one_and_estimated_where_not(context, embedder):
    by_tokens = build_index(RetrieverSettings(method="embedding"), context, embedder)
    estimated = build_index(RetrieverSettings(method="bm25"), context, None)
    # 12, 8, 7 and 16 tokens; 4 tokens number a passage in a prompt.
    assert by_tokens["passage_tokens"] == pytest.approx(43 / 4 + 4, abs=1)
    assert estimated["passage_tokens"] == pytest.approx(by_tokens["passage_tokens"], rel=0.3)


def test_an_embedder_is_left_alone_where_words_are_enough(context, embedder):
    facts = build_index(RetrieverSettings(method="bm25"), context, embedder)
    assert facts["dimension"] == 0
    assert not (context.out("index") / "vectors.npy").exists()


def test_passages_are_counted_and_so_are_their_documents(tmp_path):
    rows = [{"id": f"d{n}", "text": "one two three. " * 20} for n in range(3)]
    context = LocalContext(tmp_path / "work", {"corpus": write_corpus(tmp_path / "corpus", rows)})
    facts = build_index(RetrieverSettings(method="bm25", split_length=15), context, None)
    assert (facts["count"], facts["documents"]) == (12, 3)
