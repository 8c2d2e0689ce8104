"""A causal model as body and head, so that logits are computed only where a loss looks, and never all at once.

With a vocabulary of 49,152 the logits of 2,000 positions take 400 MB in fp32, several times over in a backward pass;
the answer is often a twentieth of the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

#: Logits of one chunk in fp32.
_CHUNK_BYTES = 64 << 20
_LEAST_ROWS = 16


class SplitModel:
    """A Hugging Face causal language model (with adapters or without), its output head apart from its layers.

    Models that do more to their logits than one linear head (cap or scale them) are noticed by a short probe; their
    logits are then computed by the model itself at every position.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._body: Any = inner.base_model
        self._head: Any = inner.get_output_embeddings()
        self.vocabulary = int(inner.config.vocab_size)
        self.is_split = self._head is not None and self._body is not inner and self._agrees()

    def _agrees(self) -> bool:
        probe = torch.arange(1, 9, device=self.model.device)[None] % self.vocabulary
        training = self.model.training
        self.model.eval()
        with torch.no_grad():
            whole = self.model(input_ids=probe, use_cache=False).logits.float()
            apart = self._head(self._body(input_ids=probe, use_cache=False).last_hidden_state).float()
        self.model.train(training)
        return bool(torch.equal(whole, apart))

    @property
    def chunk_rows(self) -> int:
        """How many positions' logits are computed at once."""
        return max(_LEAST_ROWS, _CHUNK_BYTES // (4 * self.vocabulary))

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """What the head reads, for token ids (batch, length): (batch * length, hidden)."""
        if self.is_split:
            found = self._body(input_ids=ids, use_cache=False).last_hidden_state
        else:
            found = self.model(input_ids=ids, use_cache=False).logits
        return torch.flatten(found, 0, 1)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (n, vocabulary) of n rows of ``states``, in the model's number format."""
        found: torch.Tensor = self._head(states) if self.is_split else states
        return found

    def each_chunk(self, ids: torch.Tensor, rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Without gradients: stretches of ``rows`` (positions in the flattened ``ids``) with their logits."""
        with torch.no_grad():
            states = self.states(ids).index_select(0, rows)
            for part in self._parts(len(rows)):
                yield part, self.logits(states[part])

    def backward(
        self, ids: torch.Tensor, rows: torch.Tensor, term: Callable[[slice, torch.Tensor], torch.Tensor]
    ) -> float:
        """Add the gradient of the sum of ``term`` over chunks of ``rows`` to the parameters; returns that sum.

        ``term`` is given a stretch of ``rows`` and its logits, and returns a scalar. The graph of a chunk's logits is
        freed before the next is built: the head's gradients go to the states first, then all at once into the layers.
        """
        states = self.states(ids).index_select(0, rows)
        total = 0.0
        gradients = []
        for part in self._parts(len(rows)):
            leaf = states[part].detach().requires_grad_(states.requires_grad)
            loss = term(part, self.logits(leaf))
            loss.backward()
            total += float(loss.detach())
            if leaf.grad is not None:
                gradients.append(leaf.grad)
        if gradients:
            states.backward(torch.cat(gradients))
        return total

    def _parts(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self.chunk_rows):
            yield slice(start, min(count, start + self.chunk_rows))
