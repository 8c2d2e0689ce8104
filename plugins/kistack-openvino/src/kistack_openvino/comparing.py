"""Does an export still answer as its source does? The same prompts through both, token by token. Heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kistack_torch.models import encode, load_model, load_tokenizer, render

from kistack.errors import StepFailed
from kistack_openvino.probes import probes
from kistack_openvino.session import open_session
from kistack_openvino.settings import QuantizerSettings, RuntimeSettings

#: Tokens of each greedy answer, and how many of its prompt's last positions are compared beside it.
_ANSWER, _PROMPT_TAIL = 16, 12


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an export is from its source.

    ``kl`` is the mean of KL(source ‖ export) in nats per token over ``positions``, ``agreement`` the share of positions
    with the same most likely token.
    """

    kl: float
    agreement: float
    positions: int

    def judge(self, settings: QuantizerSettings) -> None:
        """Refuse an export that changed the answers more than its kind may.

        Raises:
            StepFailed: it did.

        """
        allowed = settings.tolerance or settings.spec.tolerance
        if not self.kl <= allowed:
            remedy = "use kind int8" if settings.kind == "int4" else "leave this model unquantized"
            raise StepFailed(
                f"{settings.kind} changes the answers: mean KL divergence from the source {self.kl:.4f} nats per "
                f"token, {allowed:g} is tolerated",
                f"{remedy}, or raise `tolerance` if the task still works",
            )


def compare(source: Path, target: Path) -> Drift:
    """Answer the probes with the model folder ``source`` in fp32, and with the folder ``target`` as it is served."""
    tokenizer = load_tokenizer(source)
    model = load_model(source, dtype=torch.float32, device="cpu")
    answered = [_answered(model, tokenizer, encode(tokenizer, render(tokenizer, chat))) for chat in probes()]
    del model
    session = open_session(target, RuntimeSettings())
    try:
        divergences, same = [], []
        for ids, start, expected in answered:
            # a row added for padding is no token of the source
            found = session.logits(ids, start)[:, : expected.shape[1]].log_softmax(-1)
            divergences.append((expected.exp() * (expected - found)).sum(-1))
            same.append(expected.argmax(-1) == found.argmax(-1))
    finally:
        session.close()
    kl, agree = torch.cat(divergences), torch.cat(same)
    # rounding may leave a sum of zeros a hair below zero
    return Drift(max(0.0, float(kl.mean())), float(agree.float().mean()), len(kl))


def _answered(model: Any, tokenizer: Any, prompt: Sequence[int]) -> tuple[list[int], int, torch.Tensor]:
    """A greedy answer of the source: all token ids, the first position compared, and what it expects from there."""
    given = torch.tensor([list(prompt)])
    with torch.inference_mode():
        said = model.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=False,
            max_new_tokens=_ANSWER,
            pad_token_id=tokenizer.pad_token_id,
            temperature=None,
            top_p=None,
            top_k=None,
        )
        start = max(0, len(prompt) - _PROMPT_TAIL)
        expected = model(said).logits[0, start:].float().log_softmax(-1)
    return said[0].tolist(), start, expected
