import json
import shutil
from dataclasses import replace

import pytest
from kistack_haystack.session import PipelineSession
from kistack_haystack.settings import RetrieverSettings
from kistack_torch.embedding.testing import tiny_embedder

from kistack.errors import StoreError
from kistack.plugins.sessions import IndexSession

from .conftest import DOCUMENTS, many

QUESTIONS = [d["text"] for d in DOCUMENTS if d["text"].strip()]
METHODS = ["bm25", "embedding", "hybrid"]


@pytest.mark.parametrize("method", METHODS)
def test_a_text_finds_itself_and_names_its_document(opened, method):
    session = opened(method=method, top_k=2, title="none")
    assert isinstance(session, IndexSession)
    found = session.search(QUESTIONS)
    assert [passages[0].document for passages in found] == ["php/8.1", "php/8.2", "django", "king"]
    assert found[0][0].title == "PHP"
    assert found[1][0].text == "Support for it ends on may 31."
    assert all(len(passages) <= 2 for passages in found)
    session.close()
    session.close()


@pytest.mark.parametrize("method", METHODS)
def test_alone_or_in_company_the_same_is_found(opened, method):
    session = opened(many(60), method=method)
    questions = [d["text"] for d in many(60)][:12]
    together = session.search(questions * 3)
    assert together == [session.search([q])[0] for q in questions] * 3
    scores = [[p.score for p in passages] for passages in together]
    assert scores == [sorted(s, reverse=True) for s in scores]


@pytest.mark.parametrize("method", METHODS)
def test_no_questions_find_nothing_and_an_empty_one_is_no_error(opened, method):
    session = opened(method=method)
    assert session.search([]) == []
    assert len(session.search(["", "king"])) == 2
    assert session.search(["", "king"])[1][0].document == "king"


def test_words_that_nobody_wrote_find_nothing(opened):
    assert opened(method="bm25").search(["zebra"]) == [[]]


def test_a_title_is_searched_but_not_shown(opened):
    [[passage, *_]] = opened(method="bm25").search(["Django"])
    assert (passage.document, passage.text) == ("django", "The latest release is 12 10.")
    assert opened(method="bm25", title="none").search(["Django"]) == [[]]
    [[shown, *_]] = opened(method="bm25", title="text").search(["Django"])
    assert shown.text == "Django\nThe latest release is 12 10."


def test_the_fusion_is_of_ranks_and_weighed(opened):
    rows = many(60)
    words, meaning = (
        [p.id for p in opened(rows, method=m, top_k=5).search(["castle of the king"])[0]] for m in METHODS[:2]
    )
    assert words != meaning
    weighed = {
        weight: opened(rows, method="hybrid", top_k=5, candidates=5, bm25_weight=weight).search(["castle of the king"])
        for weight in (0.0, 0.5, 1.0)
    }
    ids = {weight: [p.id for p in found[0]] for weight, found in weighed.items()}
    assert ids[1.0] == words
    assert ids[0.0] == meaning
    assert set(ids[0.5]) <= set(words) | set(meaning)
    assert ids[0.5][0] in {words[0], meaning[0]}


def test_a_passage_that_both_put_first_has_the_score_one(opened):
    [[best, *_]] = opened(method="hybrid").search([QUESTIONS[0]])
    assert best.score == pytest.approx(1.0)


def test_a_copied_index_finds_the_same_with_a_copied_embedder(build, embedder, tmp_path):
    index, _ = build()
    before = PipelineSession(index, RetrieverSettings(), embedder).search(QUESTIONS)
    shutil.copytree(index.path, tmp_path / "bundle/index")
    shutil.copytree(embedder.path, tmp_path / "bundle/embedder")
    there = replace(index, path=tmp_path / "bundle/index"), replace(embedder, path=tmp_path / "bundle/embedder")
    assert PipelineSession(there[0], RetrieverSettings(), there[1]).search(QUESTIONS) == before


def test_another_embedder_is_refused(build, embedder, tmp_path):
    index, _ = build()
    other = tiny_embedder(tmp_path / "other", hidden_size=16, seed=1)
    with pytest.raises(StoreError, match="another embedder"):
        PipelineSession(index, RetrieverSettings(), replace(embedder, path=other, digest="another"))
    with pytest.raises(StoreError, match="32 dimensions, the embedder's 16"):
        PipelineSession(index, RetrieverSettings(), replace(embedder, path=other, digest="")).search(["king"])


def test_a_missing_embedder_is_told(build):
    index, _ = build()
    with pytest.raises(StoreError, match="embedder of this index is missing"):
        PipelineSession(index, RetrieverSettings(), None)


def test_another_method_than_the_index_was_made_for_is_refused(build, embedder):
    index, _ = build(method="bm25")
    with pytest.raises(StoreError, match="made for the method 'bm25', not 'hybrid'"):
        PipelineSession(index, RetrieverSettings(method="hybrid"), embedder)


def test_the_index_says_what_it_was_made_with(build):
    index, _ = build()
    about = json.loads((index.path / "index.json").read_text())
    assert (about["method"], about["embedder"], about["documents"]) == ("hybrid", "digest-of-embedder", 4)
