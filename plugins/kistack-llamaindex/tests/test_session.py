import json
import shutil

import pytest
from kistack_llamaindex.session import StoreSession
from kistack_llamaindex.settings import RetrieverSettings
from kistack_llamaindex.stage import LlamaIndexRetriever
from kistack_torch.embedding.testing import tiny_embedder

from kistack.errors import StoreError
from kistack.plugins.sessions import IndexSession

from .conftest import DOCUMENTS

QUESTIONS = [d["text"] for d in DOCUMENTS if d["text"].strip()]


@pytest.fixture
def opened(build, embedder):
    index, _ = build()
    return LlamaIndexRetriever().open(RetrieverSettings(top_k=2), index, {"embedder": embedder})


def test_a_text_finds_itself_and_names_its_document(opened):
    assert isinstance(opened, IndexSession)
    found = opened.search(QUESTIONS)
    assert [len(passages) for passages in found] == [2] * len(QUESTIONS)
    assert found[3][0].document == "king"
    assert found[0][0].document == "php/8.1"
    assert found[0][0].title == "PHP"
    opened.close()


def test_no_questions_find_nothing(opened):
    assert opened.search([]) == []


def test_alone_or_in_company_the_same_is_found(opened):
    together = opened.search(QUESTIONS * 20)
    assert together == [opened.search([q])[0] for q in QUESTIONS] * 20


def test_a_copied_index_finds_the_same_with_a_copied_embedder(build, embedder, tmp_path):
    index, _ = build()
    before = StoreSession(index.path, embedder.path, top_k=3, batch=8).search(QUESTIONS)
    shutil.copytree(index.path, tmp_path / "bundle/index")
    shutil.copytree(embedder.path, tmp_path / "bundle/embedder")
    after = StoreSession(tmp_path / "bundle/index", tmp_path / "bundle/embedder", top_k=3, batch=8)
    assert after.search(QUESTIONS) == before


def test_another_embedder_is_refused(build, tmp_path):
    index, _ = build()
    other = tiny_embedder(tmp_path / "other", hidden_size=16, seed=1)
    with pytest.raises(StoreError, match="another embedder"):
        StoreSession(index.path, other, top_k=3, batch=8, embedder_digest="another digest")
    with pytest.raises(StoreError, match="32 dimensions, the embedder's 16"):
        StoreSession(index.path, other, top_k=3, batch=8).search(["king"])


def test_an_embedder_that_numpy_cannot_compute_is_opened_with_torch(build, tmp_path):
    folder = tiny_embedder(tmp_path / "max", pooling={"pooling_mode": "max"})
    index, _ = build()
    assert len(StoreSession(index.path, folder, top_k=2, batch=8).search(["king"])[0]) == 2


def test_the_index_names_the_embedder_it_was_made_with(build):
    index, _ = build()
    assert json.loads((index.path / "index.json").read_text())["embedder"] == "digest-of-embedder"
