"""The loss of response-based distillation. Heavy: imported only inside ``run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from kistack_torch.batching import Example
from kistack_torch.losses import TopK, cross_entropy, top_k_divergence
from kistack_torch.splitting import SplitModel
from kistack_torch.training import Batch

from kistack_distill.records import Signals


class ResponseLoss:
    """L = alpha · CE(y, softmax(z_s)) + (1 - alpha) · T² · KL(softmax(z_t/T) ‖ softmax(z_s/T)).

    Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531. The cross-entropy is
    the mean over the answers' tokens; the divergence the mean over all predicted tokens (``everywhere``) or over the
    answers', each over one optimizer step. T² keeps the size of the gradient as T grows. The teacher is known by its k
    likeliest tokens and the weight of the rest, see ``kistack_torch.losses.top_k_divergence``.
    """

    def __init__(self, signals: Signals, *, alpha: float, temperature: float, everywhere: bool) -> None:
        self._signals, self._alpha, self._temperature, self._everywhere = signals, alpha, temperature, everywhere

    def terms(self, example: Example) -> tuple[int, ...]:
        """Tokens of the answer, and tokens at which the teacher is followed."""
        return (example.answer, len(example) - 1 if self._everywhere else example.answer)

    def backward(self, model: SplitModel, batch: Batch, totals: Sequence[int]) -> float:
        """See ``kistack_torch.training.Objective``."""
        rows, tokens, answers = batch.rows(everywhere=self._everywhere)
        teacher = self._signals.read(batch.examples, self._temperature, everywhere=self._everywhere)
        hard = self._alpha / max(1, totals[0])
        soft = (1 - self._alpha) * self._temperature**2 / max(1, totals[1])

        def term(part: slice, logits: torch.Tensor) -> torch.Tensor:
            loss = logits.new_zeros((), dtype=torch.float32)
            if soft:
                loss = loss + soft * top_k_divergence(logits, _part(teacher, part, logits.device)).sum()
            answered = answers[part].nonzero().flatten()
            if hard and len(answered):
                loss = loss + hard * cross_entropy(logits.index_select(0, answered), tokens[part][answered])
            return loss

        return model.backward(batch.ids, rows, term)

    def fingerprint(self) -> Mapping[str, Any]:
        """See ``kistack_torch.training.Objective``."""
        return {
            "loss": "response",
            "alpha": self._alpha,
            "temperature": self._temperature,
            "everywhere": self._everywhere,
            "signals": self._signals.digest,
        }


def _part(teacher: TopK, part: slice, device: torch.device) -> TopK:
    return TopK(
        teacher.ids[part].to(device),
        teacher.log_p[part].to(device),
        teacher.log_tail[part].to(device),
        teacher.temperature,
    )
