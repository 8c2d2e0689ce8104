"""Greedy decoding of a batch. Heavy: imported only when a session is opened.

Rows are padded on the left, so that all write their next token in the same column; a row that has said its end token
leaves the batch, so that the others go on faster.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import torch

Step = tuple[list[int], list[int]]


def core_of(model: Any) -> Any:
    """The module that maps token ids to logits: inside a PEFT wrapper, the base with the adapter's layers in it."""
    return model.get_base_model() if hasattr(model, "peft_config") and hasattr(model, "get_base_model") else model


class GreedyDecoder:
    """The most likely continuation of each row, until an end token or the limit.

    Args:
        model: a causal language model in evaluation mode.
        ends: ids of the tokens that end an answer.
        pad: id that fills the left; it is masked, so any id will do.

    """

    def __init__(self, model: Any, ends: frozenset[int], pad: int) -> None:
        self._model = core_of(model)
        self._device = self._model.device
        self._ends = torch.tensor(sorted(ends), device=self._device)
        self._pad = pad
        self._takes = frozenset(inspect.signature(self._model.forward).parameters)

    def steps(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[Step]:
        """Decode ``rows`` (token ids, none empty) together for at most ``limit`` tokens each.

        Yields at every step the rows still writing and the token each of them wrote; a row's last one is its end
        token, unless the limit cut it off.
        """
        ids, mask = self._padded(rows)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        alive = torch.arange(len(rows), device=self._device)
        logits, cache = self._forward(ids, mask, positions, None)
        positions = positions[:, -1:]
        for step in range(1, limit + 1):
            chosen = logits[:, -1].argmax(-1)
            yield alive.tolist(), chosen.tolist()
            going = ~torch.isin(chosen, self._ends)
            if step == limit or not bool(going.any()):
                return
            if not bool(going.all()) and hasattr(cache, "batch_select_indices"):
                kept = going.nonzero()[:, 0]
                cache.batch_select_indices(kept)
                alive, chosen, mask, positions = alive[kept], chosen[kept], mask[kept], positions[kept]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = positions + 1
            logits, cache = self._forward(chosen[:, None], mask, positions, cache)

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, each (rows, width), filled on the left."""
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._pad, dtype=torch.long)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, width - len(row) :] = torch.tensor(row)
            mask[number, width - len(row) :] = 1
        return ids.to(self._device), mask.to(self._device)

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any
    ) -> tuple[torch.Tensor, Any]:
        given: dict[str, Any] = {"attention_mask": mask, "position_ids": positions, "logits_to_keep": 1}
        taken = {name: value for name, value in given.items() if name in self._takes}
        # here and not around the generator: a context that is left open would reach into its caller
        with torch.inference_mode():
            out = self._model(input_ids=ids, past_key_values=cache, use_cache=True, **taken)
        return out.logits, out.past_key_values


def batches(lengths: Sequence[int], rows: int, tokens: float) -> list[list[int]]:
    """Indices grouped into batches of at most ``rows``, the longest first, so that little is padded.

    A batch holds at most ``tokens`` after padding, but always one row.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    grouped: list[list[int]] = []
    for index in order:
        last = grouped[-1] if grouped else []
        if last and len(last) < rows and (len(last) + 1) * lengths[last[0]] <= tokens:
            last.append(index)
        else:
            grouped.append([index])
    return grouped
