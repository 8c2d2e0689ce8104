from __future__ import annotations

import pytest
import torch
from kistack_torch.models import encode, load_tokenizer, render, turn_ends
from kistack_transformers.runtime import RuntimeSettings, TransformersRuntime

from kistack.domain.artifacts import Artifact
from kistack.domain.prompt import Passage, PromptTemplate
from kistack.errors import ModelError
from kistack.plugins.sessions import ModelSession

TEMPLATE = PromptTemplate()
PROMPTS = [
    TEMPLATE.render("Which version was the latest?"),
    TEMPLATE.render("Why?", [Passage("1", "The latest version of the product was 3.12.4."), Passage("2", "It ends.")]),
    TEMPLATE.render("When does support for the product end, and which version is the last to have it?"),
    TEMPLATE.render("ü 猫?"),
]


def artifact(folder, form="hf", requires=()):
    return Artifact("model", form, folder, "", "k", requires=tuple(requires))


def open_model(folder, **settings):
    return TransformersRuntime().open(
        RuntimeSettings(**{"dtype": "fp32", "device": "cpu", **settings}), artifact(folder), {}
    )


@pytest.fixture(scope="module")
def session(model_folder):
    session = open_model(model_folder)
    yield session
    session.close()


def test_it_is_a_model_session(session):
    assert isinstance(session, ModelSession)
    assert session.reason == "fp32 because the settings ask for it, on cpu"


@pytest.mark.parametrize("limit", [1, 12])
def test_batched_answers_equal_single_ones_in_their_order(session, limit):
    done = []
    batched = session.generate(PROMPTS, max_new_tokens=limit, on_done=done.append)
    single = [session.generate([p], max_new_tokens=limit, batch=1)[0] for p in PROMPTS]
    pairs = session.generate(PROMPTS, max_new_tokens=limit, batch=2)
    for same in (single, pairs):
        assert [(c.text, c.new_tokens) for c in same] == [(c.text, c.new_tokens) for c in batched]
    assert done[-1] == len(PROMPTS)
    assert all(c.seconds > 0 and c.first_token_seconds > 0 for c in batched)


def test_counts_are_those_of_the_rendered_prompt(session, model_folder):
    tokenizer = load_tokenizer(model_folder)
    for prompt, answer in zip(PROMPTS, session.generate(PROMPTS, max_new_tokens=3), strict=True):
        assert answer.prompt_tokens == len(encode(tokenizer, render(tokenizer, prompt)))
        assert 1 <= answer.new_tokens <= 3


def test_texts_are_clean(session):
    for answer in session.generate(PROMPTS, max_new_tokens=40):
        assert "<|" not in answer.text
        assert answer.text == answer.text.strip()


def test_an_answer_ends_with_its_turn(model_folder):
    tokenizer = load_tokenizer(model_folder)
    prompt = encode(tokenizer, render(tokenizer, PROMPTS[0]))
    session = open_model(model_folder)
    said = [t for _, (t,) in session._decoder.steps([prompt], 8)]
    # let the third token end the turn: what was said before it is the answer
    cut = next(i for i, t in enumerate(said) if i >= 2 and t not in said[:i])
    ends = turn_ends(tokenizer) | {said[cut]}
    session._ends, session._decoder._ends = ends, torch.tensor(sorted(ends))
    (answer,) = session.generate(PROMPTS[:1], max_new_tokens=8)
    assert answer.new_tokens == cut + 1
    assert answer.text == tokenizer.decode(said[:cut], skip_special_tokens=True).strip()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_pieces_of_a_stream_join_to_the_answer(session, prompt):
    (answer,) = session.generate([prompt], max_new_tokens=30)
    pieces = list(session.stream(prompt, max_new_tokens=30))
    assert "".join(pieces) == answer.text
    assert all(pieces)


def test_nothing_asked_nothing_answered(session):
    assert session.generate([], max_new_tokens=4) == []
    assert session.loglikelihood([]) == []


def test_a_prompt_that_does_not_fit_is_refused(session):
    prompt = TEMPLATE.render("word " * 600)
    with pytest.raises(ModelError, match="context of 512") as caught:
        session.generate([*PROMPTS, prompt], max_new_tokens=4)
    assert "top_k" in caught.value.hint


def naive(session, tokenizer, head, tail):
    ids = head + tail
    total = 0.0
    model = session._loaded.model
    with torch.inference_mode():
        for place in range(max(1, len(head)), len(ids)):
            logits = model(torch.tensor([ids[:place]])).logits[0, -1]
            total += float(torch.log_softmax(logits.double(), -1)[ids[place]])
    return total


def test_loglikelihood_of_chats_texts_and_nothing(session, model_folder):
    tokenizer = load_tokenizer(model_folder)
    chat = encode(tokenizer, render(tokenizer, PROMPTS[1]))
    items = [
        (PROMPTS[1], "3.12.4"),
        ("The latest version", " of the product was 3.12.4"),
        ("", "Support ends on 2028-10-31."),
        (PROMPTS[0], ""),
    ]
    parts = [
        (chat, encode(tokenizer, "3.12.4")),
        (encode(tokenizer, "The latest version"), encode(tokenizer, " of the product was 3.12.4")),
        ([], encode(tokenizer, "Support ends on 2028-10-31.")),
        (chat, []),
    ]
    for found, (head, tail) in zip(session.loglikelihood(items), parts, strict=True):
        assert found.tokens == len(tail) - (not head)
        assert found.total == pytest.approx(naive(session, tokenizer, head, tail), abs=1e-3)


def test_a_token_across_the_border_is_not_scored_as_context(session, model_folder):
    tokenizer = load_tokenizer(model_folder)
    assert len(encode(tokenizer, "th")) == 1  # one token, cut in two below
    (found,) = session.loglikelihood([("t", "h")])
    assert found.tokens == 1
    assert found.total == pytest.approx(
        naive(session, tokenizer, encode(tokenizer, "t"), encode(tokenizer, "h")), abs=1e-4
    )


def test_a_tokenizer_that_begins_texts_begins_them(session, monkeypatch):
    tokenizer, begin = session._tokenizer, session._tokenizer.bos_token_id
    assert session._beginning() == []
    monkeypatch.setattr(session, "_beginning", lambda: [begin])
    text = encode(tokenizer, "the latest")
    assert session._split("", "the latest") == ([begin, *text], 2)
    assert session._split("the", " latest") == ([begin, *text], 1 + len(encode(tokenizer, "the")))


def test_batches_shrink_with_free_memory(model_folder, monkeypatch):
    from kistack_transformers import session as module

    session = open_model(model_folder)
    rows, tokens = session._limits(0)
    assert (rows, session._limits(3)) == (16, (3, float("inf")))
    monkeypatch.setattr(module, "free_bytes", lambda device: 1000.0)
    assert session._limits(0)[1] < tokens
    assert len(session.generate(PROMPTS, max_new_tokens=2)) == len(PROMPTS)  # one by one, but done
    assert open_model(model_folder, batch=5)._limits(0)[0] == 5


def test_a_closed_session_holds_no_weights(model_folder):
    session = open_model(model_folder)
    session.close()
    assert session._loaded is None
