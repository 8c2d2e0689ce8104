"""Log-likelihoods of texts. Heavy: imported only when a session is opened."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kistack.plugins.sessions import LogLikelihood
from kistack_transformers.generation import batches, core_of

#: Tokens of a text without context that are scored in one pass; longer ones slide.
WINDOW = 2048
#: Bytes that the logits of one pass may take.
_LOGIT_BYTES = 512e6
#: Positions whose logits are turned into fp32 at once.
_SLICE = 256
#: Rows of one pass, and tokens after padding.
_ROWS, _TOKENS = 32, 8192


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens ``begin`` to ``end`` are read, those from ``first`` on are scored; all count from the text's start."""

    begin: int
    end: int
    first: int


def windows(count: int, first: int, limit: int) -> list[Window]:
    """Cut a text of ``count`` tokens, scored from token ``first`` (at least 1), into passes of at most ``limit``.

    Every token from ``first`` on is scored exactly once; in a pass after the first with at least half of ``limit``
    before it.
    """
    found = []
    while first < count:
        end = min(count, max(limit, first + limit // 2))
        found.append(Window(max(0, end - limit), end, first))
        first = end
    return found


class Scorer:
    """Sums of natural-log probabilities under a causal language model."""

    def __init__(self, model: Any, context: int, vocabulary: int) -> None:
        self._model = core_of(model)
        self._context = context
        self._vocabulary = vocabulary
        self._trims = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    def score(self, items: Sequence[tuple[Sequence[int], int]]) -> list[LogLikelihood]:
        """For each (token ids, first): the log-likelihood of the tokens from ``first`` on, given those before."""
        passes: list[tuple[int, Window]] = []
        for number, (ids, first) in enumerate(items):
            limit = min(self._context, max(WINDOW, first + WINDOW // 2))
            passes += [(number, w) for w in windows(len(ids), max(1, first), limit)]
        totals = [0.0] * len(items)
        width = self._model.dtype.itemsize
        tokens = min(_TOKENS, _LOGIT_BYTES / (self._vocabulary * width))
        for group in batches([w.end - w.begin for _, w in passes], _ROWS, tokens):
            chosen = [passes[i] for i in group]
            sums = self._pass([(items[n][0][w.begin : w.end], w.first - w.begin) for n, w in chosen])
            for (number, _), value in zip(chosen, sums, strict=True):
                totals[number] += value
        counts = [max(0, len(ids) - max(1, first)) for ids, first in items]
        return [LogLikelihood(t, c) for t, c in zip(totals, counts, strict=True)]

    def _pass(self, rows: Sequence[tuple[Sequence[int], int]]) -> list[float]:
        """Each row's sum from its ``first`` token on. Rows are filled on the right, where nothing before them looks."""
        device = self._model.device
        width = max(len(ids) for ids, _ in rows)
        padded = torch.zeros((len(rows), width), dtype=torch.long)
        for number, (ids, _) in enumerate(rows):
            padded[number, : len(ids)] = torch.tensor(list(ids))
        padded = padded.to(device)
        # the logits that predict token i stand at i - 1; earlier ones than the first scored are never made
        start = min(first for _, first in rows) - 1
        wanted = {"logits_to_keep": torch.arange(start, width, device=device)} if self._trims else {}
        with torch.inference_mode():
            logits = self._model(input_ids=padded, use_cache=False, **wanted).logits
        logits = logits if self._trims else logits[:, start:]
        return [
            _sum(logits[number, first - 1 - start : len(ids) - 1 - start], padded[number, first : len(ids)])
            for number, (ids, first) in enumerate(rows)
        ]


def _sum(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Sum of log p(target) in fp32; ``logits`` (tokens, vocabulary), ``targets`` (tokens)."""
    total = 0.0
    for start in range(0, len(targets), _SLICE):
        part, aim = logits[start : start + _SLICE].float(), targets[start : start + _SLICE]
        chosen = part.gather(-1, aim[:, None])[:, 0]
        total += float((chosen - part.logsumexp(-1)).double().sum())
    return total
