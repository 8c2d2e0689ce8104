"""The session's own arithmetic, over a model of transformers, which takes the same arguments."""

import pytest
import torch
from kistack_openvino.session import OpenvinoSession, _groups
from kistack_torch.models import load_model, load_tokenizer
from kistack_torch.testing import tiny_model

from kistack.errors import ModelError

PROMPTS = [[{"role": "user", "content": text}] for text in ("the bridge", "which colour has the bridge of", "red")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tiny_model(tmp_path_factory.mktemp("tiny") / "hf", tied=False)
    return load_model(folder, dtype=torch.float32, device="cpu"), load_tokenizer(folder)


@pytest.fixture
def session(model):
    with torch.inference_mode():
        yield OpenvinoSession(*model, batch=2)


def test_a_batch_answers_as_each_prompt_alone(session):
    done = []
    together = session.generate(PROMPTS, max_new_tokens=6, on_done=done.append)
    alone = [session.generate([p], max_new_tokens=6, batch=1)[0] for p in PROMPTS]
    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.new_tokens for c in together] == [c.new_tokens for c in alone]
    assert done == [2, 3]
    assert all(0 < c.new_tokens <= 6 and c.prompt_tokens > 0 for c in together)
    assert session.generate([], max_new_tokens=6) == []


def test_it_streams_what_it_generates(session):
    for prompt in PROMPTS:
        told = "".join(session.stream(prompt, max_new_tokens=8))
        assert told == session.generate([prompt], max_new_tokens=8)[0].text


def test_loglikelihoods_are_sums_over_the_continuation(session):
    chat, raw, begun = session.loglikelihood([(PROMPTS[0], "red"), ("", "the bridge is red"), ("the bridge", " is")])
    for found in (chat, raw, begun):
        assert found.total < 0
        assert found.tokens >= 1
    ids, first = session._split("", "the bridge is red")
    expected = session.logits(ids).log_softmax(-1)
    total = sum(float(expected[n - 1, ids[n]]) for n in range(first, len(ids)))
    assert raw.total == pytest.approx(total, rel=1e-5)


def test_a_text_longer_than_the_context_is_scored_in_windows(session):
    whole = session.loglikelihood([("", "the bridge is red " * 12)])[0]
    session._context = 24
    windows = session.loglikelihood([("", "the bridge is red " * 12)])[0]
    assert windows.tokens == whole.tokens > 24
    assert windows.total == pytest.approx(whole.total, rel=0.2)


def test_long_prompts_are_read_in_pieces_with_the_same_result(session):
    text = "which colour has the bridge of red and the bridge is " * 4
    prompt = [{"role": "user", "content": text}]
    whole = (session.generate([prompt], max_new_tokens=6), session.loglikelihood([("", text), (prompt, "red")]))
    ids, _ = session._split("", text)
    expected = session.logits(ids, 3)
    session._positions = 7
    made, found = session.generate([prompt], max_new_tokens=6), session.loglikelihood([("", text), (prompt, "red")])
    assert [c.text for c in made] == [c.text for c in whole[0]]
    for one, other in zip(found, whole[1], strict=True):
        assert one.tokens == other.tokens
        assert one.total == pytest.approx(other.total, rel=1e-4)
    assert torch.allclose(session.logits(ids, 3), expected, atol=1e-4)


def test_what_does_not_fit_is_refused_with_a_remedy(session):
    session._context = 8
    with pytest.raises(ModelError, match="do not fit into this model's context of 8") as caught:
        session.generate(PROMPTS, max_new_tokens=6)
    assert "top_k" in caught.value.hint


def test_groups_are_alike_in_length_and_bounded():
    assert list(_groups([5, 1, 4, 2], 2, 100)) == [[1, 3], [2, 0]]
    assert list(_groups([60, 10, 60], 8, 100)) == [[1], [0], [2]]
    assert list(_groups([], 4, 100)) == []


def test_closing_twice_is_no_harm(model):
    opened = OpenvinoSession(*model, batch=1)
    opened.close()
    opened.close()
