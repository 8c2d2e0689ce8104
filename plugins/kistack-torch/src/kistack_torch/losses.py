"""Losses over the vocabulary: cross-entropy, and divergence from a teacher known in full or by its likeliest tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from kistack.errors import DataError

#: Below any probability that single precision can tell from 0 in a sum; keeps logarithms finite.
_TINY = 1e-30


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum over rows of ``-log softmax(logits)[target]`` in nats, computed in fp32.

    Args:
        logits: (n, vocabulary), any float type.
        targets: (n,) token ids.
    """
    return functional.cross_entropy(logits.float(), targets, reduction="sum")


def divergence(teacher: torch.Tensor, student: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """KL(softmax(z_t/T) ‖ softmax(z_s/T)) of each row over the whole vocabulary, in nats: (n,) fp32.

    Args:
        teacher: (n, vocabulary) logits z_t.
        student: (n, vocabulary) logits z_s.
        temperature: T.

    Raises:
        DataError: the vocabularies differ in size.
    """
    if teacher.shape != student.shape:
        raise DataError(
            f"teacher and student speak of different vocabularies: logits {tuple(teacher.shape)} and "
            f"{tuple(student.shape)}",
            "distil between models that share a tokenizer",
        )
    log_p = functional.log_softmax(teacher.float() / temperature, dim=-1)
    log_q = functional.log_softmax(student.float() / temperature, dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


@dataclass(frozen=True)
class TopK:
    """A teacher's distribution at ``temperature`` T over n positions: its k likeliest tokens, the rest as one bucket.

    ``ids``: (n, k) token ids. ``log_p``: (n, k) their log-probabilities under softmax(z_t/T). ``log_tail``: (n,) log
    of the probability of all other tokens together (-inf where k is the vocabulary).
    """

    ids: torch.Tensor
    log_p: torch.Tensor
    log_tail: torch.Tensor
    temperature: float


def top_k(logits: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k largest logits of each row relative to its largest (so 0 comes first) in fp32, and their ids: (n, k)."""
    values, ids = logits.topk(k, dim=-1)
    values = values.float()
    return values - values[:, :1], ids


def tail_logsumexp(logits: torch.Tensor, ids: torch.Tensor, temperatures: Sequence[float]) -> torch.Tensor:
    """At each temperature T, log Σ exp((z_i - max z)/T) over all tokens but ``ids``: (n, temperatures) fp32.

    With it the k kept logits give exact probabilities at these temperatures without the other logits. -inf where no
    token is left.
    """
    rest = logits.float() - logits.amax(dim=-1, keepdim=True).float()
    rest.scatter_(1, ids, float("-inf"))
    return torch.stack([rest.mul(1 / t).exp_().sum(dim=-1).log() for t in temperatures], dim=1)


def distribution(ids: torch.Tensor, relative: torch.Tensor, tail: torch.Tensor, temperature: float) -> TopK:
    """The teacher's distribution from what ``top_k`` and ``tail_logsumexp`` kept of it.

    ``relative``: (n, k) logits; ``tail``: (n,), the column of this temperature.
    """
    scaled = relative.float() / temperature
    total = torch.logaddexp(scaled.logsumexp(dim=-1), tail.float())
    return TopK(ids.long(), scaled - total[:, None], tail.float() - total, temperature)


def top_k_divergence(logits: torch.Tensor, teacher: TopK) -> torch.Tensor:
    """KL between teacher and student after both are coarsened to k tokens and one bucket for the rest: (n,) fp32.

    With p the teacher's probabilities at temperature T, q = softmax(z_s/T), and p_0, q_0 what each gives to all tokens
    outside the teacher's k likeliest::

        D = Σ_{i ≤ k} p_i (log p_i - log q_i) + p_0 (log p_0 - log q_0)

    By the log-sum inequality D never exceeds the KL over the whole vocabulary, and equals it where teacher and student
    share the shape of the rest (in particular for k = vocabulary). Unlike dropping or renormalizing the rest, the
    bucket tells the student how much it may spend there, so it is not taught to be too sure.

    The gradient ``(q_i - p_i)/T`` inside and ``(q_j - p_0 q_j/q_0)/T`` outside is formed in the forward pass, because
    over a large vocabulary the passes over memory are what costs.

    Args:
        logits: (n, vocabulary) student logits z_s, any float type.
        teacher: its distribution at the same n positions.
    """
    found: torch.Tensor = _TopKDivergence.apply(
        logits, teacher.ids, teacher.log_p, teacher.log_tail, teacher.temperature
    )
    return found


class _TopKDivergence(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """See ``top_k_divergence``."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: torch.Tensor,
        ids: torch.Tensor,
        log_p: torch.Tensor,
        log_tail: torch.Tensor,
        temperature: float,
    ) -> torch.Tensor:
        scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
        scaled -= scaled.amax(dim=-1, keepdim=True)
        kept = scaled.gather(1, ids)
        weights = scaled.exp_()
        inside = weights.gather(1, ids)
        weights.scatter_(1, ids, 0.0)  # what is left is the bucket: summed directly, 1 - sum would cancel
        outside = weights.sum(dim=-1).clamp_min(_TINY)
        total = inside.sum(dim=-1) + outside
        p, p_tail = log_p.exp(), log_tail.exp()
        log_q = kept - total.log()[:, None]
        in_bucket = torch.where(p_tail > 0, p_tail * (log_tail - outside.log() + total.log()), 0.0)
        value = (p * (log_p - log_q)).sum(dim=-1) + in_bucket
        if ctx.needs_input_grad[0]:
            weights *= (1 / total - p_tail / outside)[:, None]
            weights.scatter_(1, ids, (inside / total[:, None] - p).to(weights.dtype))
            ctx.save_for_backward((weights / temperature).to(logits.dtype))
        return value

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None].to(gradient.dtype), None, None, None, None
