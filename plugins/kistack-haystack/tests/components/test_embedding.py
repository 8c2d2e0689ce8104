import numpy as np
import pytest
from haystack import Document
from kistack_haystack.components.embedding import PassageEmbedder, QuestionEmbedder
from kistack_torch.embedding.encoders import open_encoder


def test_documents_get_the_vectors_of_their_content():
    given = [Document(id=n, content=n * 3) for n in "abc"]
    found = PassageEmbedder(lambda texts: np.array([[len(t), ord(t[0])] for t in texts], dtype=np.float32)).run(given)
    assert [d.embedding for d in found["documents"]] == [[3.0, 97.0], [3.0, 98.0], [3.0, 99.0]]
    assert [d.embedding for d in given] == [None] * 3


def test_as_many_vectors_as_documents_are_asked_for():
    with pytest.raises(ValueError, match="shorter"):
        PassageEmbedder(lambda texts: np.zeros((1, 2), dtype=np.float32)).run([Document(content=c) for c in "ab"])


def test_a_question_gets_the_vector_of_a_query(embedder):
    encoder = open_encoder(embedder.path)
    questions = QuestionEmbedder(encoder, batch=4)
    alone = questions.run("king")["embedding"]
    assert alone == pytest.approx(encoder.encode(["king"], "query")[0].tolist(), abs=1e-6)
    questions.prepare(["castle", "king", "king"])
    assert questions.run("king")["embedding"] == pytest.approx(alone, abs=1e-6)


def test_what_was_prepared_is_not_computed_again():
    class Counting:
        calls = 0

        def encode(self, texts, role, *, batch):
            self.calls += 1
            return np.array([[float(len(t))] for t in texts], dtype=np.float32)

    encoder = Counting()
    questions = QuestionEmbedder(encoder, batch=4)
    questions.prepare(["a", "bb"])
    assert [questions.run(q)["embedding"] for q in ("bb", "a")] == [[2.0], [1.0]]
    assert encoder.calls == 1
    assert questions.run("ccc")["embedding"] == [3.0]
    assert encoder.calls == 2
