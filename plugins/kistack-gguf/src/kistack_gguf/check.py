"""Does an export still answer as its source does? The same prompts through both, compared token by token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kistack_torch.models import encode, load_model, load_tokenizer, render
from numpy.typing import NDArray

from kistack.errors import StepFailed
from kistack_gguf import native
from kistack_gguf.kinds import Kind
from kistack_gguf.metadata import read_metadata
from kistack_gguf.probes import CUTS, probes
from kistack_gguf.scoring import LogitModel, log_softmax
from kistack_gguf.server import Server
from kistack_gguf.sizes import Sizes

#: Tokens of each greedy answer, and how many of its prompt's last positions are compared beside it.
_ANSWER, _PROMPT_TAIL = 16, 12
_CONTEXT = 1024
_TOKENIZER_HINT = "keep this model unquantized: llama.cpp would read its prompts differently"


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an export is from its source.

    ``kl`` is the mean of KL(source ‖ export) in nats per token over ``positions``, None where logits were not to be
    had. ``agreement`` is then the share of each greedy answer before the first other token, else the share of
    positions with the same most likely token.
    """

    kl: float | None
    agreement: float
    positions: int


@dataclass(frozen=True)
class _Answered:
    """A probe as the source answers it: token ids of prompt and answer, and what it expected from ``start`` on."""

    text: str
    ids: list[int]
    prompt: int
    start: int
    expected: NDArray[np.float64]
    answer: str


def compare(source: Path, target: Path, progress: Callable[[int, int], None] = lambda *_: None) -> Drift:
    """Answer the probes with the model folder ``source`` and the file ``target``.

    ``progress`` is called with the numbers of probes done and in all.

    Raises:
        StepFailed: llama.cpp cuts a text into other tokens than the source's tokenizer.

    """
    tokenizer = load_tokenizer(source)
    chats = [render(tokenizer, p) for p in probes()]
    total = 2 * len(chats)
    model = load_model(source, dtype=_reference_dtype(source), device="cpu")
    prompts = [encode(tokenizer, chat) for chat in chats]
    answered = []
    for number, (chat, prompt, said) in enumerate(
        zip(chats, prompts, _answers(model, tokenizer, prompts), strict=True), 1
    ):
        answered.append(_expected(model, tokenizer, chat, prompt, said))
        progress(number, total)
    del model
    texts = [*chats, *CUTS]
    if not native.has_logits():
        return _by_answers(target, tokenizer, answered, lambda n: progress(len(chats) + n, total))
    with LogitModel(target, context=_CONTEXT) as exported:
        for text in texts:
            _same_cut(text, encode(tokenizer, text), exported.tokenize(text))
        return _by_logits(exported, answered, lambda n: progress(len(chats) + n, total))


def judge(drift: Drift, kind: Kind, tolerance: float = 0.0) -> None:
    """Refuse an export that changed the answers more than its kind may.

    Raises:
        StepFailed: it did.

    """
    allowed = tolerance or kind.tolerance
    remedy = "use kind F16" if kind.name == "Q8_0" else "use kind Q8_0"
    if drift.kl is not None and not drift.kl <= allowed:
        raise StepFailed(
            f"{kind.name} changes the answers: mean KL divergence from the source {drift.kl:.4f} nats per token, "
            f"{allowed:g} is tolerated",
            f"{remedy}, or raise `tolerance` if the task still works",
        )
    if drift.kl is None and drift.agreement < kind.agreement:
        raise StepFailed(
            f"{kind.name} changes the answers: {drift.agreement:.0%} of the greedy answers stay, "
            f"{kind.agreement:.0%} must",
            f"{remedy}, or install cyllama to compare distributions instead of answers",
        )


def _reference_dtype(source: Path) -> torch.dtype:
    """fp32, unless the model would not fit twice over: then the numbers it is stored in."""
    stored = sum(f.stat().st_size for f in source.glob("*.safetensors"))
    return torch.float32 if 4 * stored < native.free_memory() else torch.bfloat16


def _answers(model: Any, tokenizer: Any, prompts: list[list[int]]) -> list[list[int]]:
    """Greedy answers, all at once: token ids up to and with the end of the turn."""
    with torch.inference_mode():
        given = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
        said = model.generate(
            **given,
            do_sample=False,
            max_new_tokens=_ANSWER,
            pad_token_id=tokenizer.pad_token_id,
            temperature=None,
            top_p=None,
            top_k=None,
        )
    answers = said[:, given["input_ids"].shape[1] :].tolist()
    end = tokenizer.eos_token_id
    return [a[: a.index(end) + 1] if end in a else a for a in answers]


def _expected(model: Any, tokenizer: Any, chat: str, prompt: list[int], said: list[int]) -> _Answered:
    """What the source expects along its own answer, computed without padding."""
    ids = prompt + said
    start = max(0, len(prompt) - _PROMPT_TAIL)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, start:]
    answer = tokenizer.decode(said, skip_special_tokens=True)
    return _Answered(chat, ids, len(prompt), start, log_softmax(logits.float().numpy()), answer)


def _same_cut(text: str, source: list[int], exported: list[int]) -> None:
    if source == exported:
        return
    place = next((i for i, (a, b) in enumerate(zip(source, exported, strict=False)) if a != b), len(exported))
    raise StepFailed(
        f"llama.cpp cuts {text[:40]!r}… into other tokens than the source, from token {place} on", _TOKENIZER_HINT
    )


def _by_logits(exported: LogitModel, answered: list[_Answered], progress: Callable[[int], None]) -> Drift:
    divergences, same = [], []
    for number, a in enumerate(answered, 1):
        found = log_softmax(exported.logits(a.ids, a.start))
        # a row added for padding is no token of the source
        found = found[:, : a.expected.shape[1]]
        divergences.append((np.exp(a.expected) * (a.expected - found)).sum(axis=1))
        same.append(a.expected.argmax(axis=1) == found.argmax(axis=1))
        progress(number)
    kl, agree = np.concatenate(divergences), np.concatenate(same)
    # rounding may leave a sum of zeros a hair below zero
    return Drift(max(0.0, float(kl.mean())), float(agree.mean()), len(kl))


def _by_answers(target: Path, tokenizer: Any, answered: list[_Answered], progress: Callable[[int], None]) -> Drift:
    sizes = Sizes(context=_CONTEXT, parallel=1, batch=256, threads=native.cores())
    server = Server(read_metadata(target), sizes)
    shares = []
    try:
        for number, a in enumerate(answered, 1):
            reply = server.complete(a.text, _ANSWER)
            if reply.prompt_tokens != a.prompt:
                raise StepFailed(
                    f"llama.cpp reads {reply.prompt_tokens} tokens in a prompt of {a.prompt}", _TOKENIZER_HINT
                )
            wanted, got = encode(tokenizer, a.answer), encode(tokenizer, reply.text)
            same = next(
                (i for i, (x, y) in enumerate(zip(wanted, got, strict=False)) if x != y), min(len(wanted), len(got))
            )
            shares.append(same / max(len(wanted), len(got), 1) if wanted != got else 1.0)
            progress(number)
    finally:
        server.close()
    return Drift(None, float(np.mean(shares)), len(shares))
