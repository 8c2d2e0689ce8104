import numpy as np
import pytest
from kistack_haystack.components.asking import ask, question_pipeline
from kistack_haystack.components.embedding import QuestionEmbedder
from kistack_haystack.components.indexing import index_corpus, indexing_pipeline
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings


class Encoder:
    """Vectors that say whether a text speaks of kings, and of PHP."""

    def encode(self, texts, role="passage", *, batch=32):
        return np.array([[float("king" in t.lower()), float("php" in t.lower())] for t in texts], dtype=np.float32)


@pytest.fixture
def asked(corpus_in, tmp_path):
    """Passages of a question, by settings."""

    def run(question, **settings):
        chosen = RetrieverSettings(**settings)
        store = FolderDocumentStore.for_settings(chosen)
        index_corpus(indexing_pipeline(store, chosen, Encoder().encode), corpus_in(tmp_path))
        questions = QuestionEmbedder(Encoder(), 4) if chosen.embeds else None
        return [d.id for d in ask(question_pipeline(store, chosen, questions), question)]

    return run


def test_words_need_no_embedder(asked):
    assert asked("the old castle", method="bm25", top_k=2)[0] == "king"


def test_as_many_as_were_asked_for(asked):
    for method in ("bm25", "embedding", "hybrid"):
        assert len(asked("the latest release of PHP", method=method, top_k=2)) == 2


def test_meaning_needs_no_word(asked):
    assert asked("KING-like", method="embedding", top_k=1) == ["king"]


def test_both_find_what_either_finds(asked):
    found = asked("php is to kings as castles", method="hybrid", top_k=4)
    assert set(asked("php is to kings as castles", method="bm25", top_k=2)) <= set(found)
    assert set(asked("php is to kings as castles", method="embedding", top_k=2)) <= set(found)


def test_fewer_candidates_than_passages_asked_for_do_not_cut_the_answer(asked):
    assert len(asked("the king of PHP", method="hybrid", top_k=4, candidates=1)) == 4
