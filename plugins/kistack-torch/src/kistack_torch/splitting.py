"""A causal model as body and head, so that logits are computed only where a loss looks, and never all at once.

With a vocabulary of 49,152 the logits of 2,000 positions take 400 MB in fp32, several times over in a backward pass;
the answer is often a twentieth of the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

#: Logits that are formed by one product with the head, in the model's number format. Larger products are faster, and
#: the head's own gradient (as large as the head) is added up once for each.
_HEAD_BYTES = 256 << 20
#: Logits that a loss looks at at once, in fp32: temporaries of more than 32 MiB are given back to the system after
#: every use (glibc) and cost four times as much as those that stay.
_LOSS_BYTES = 24 << 20
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
        # never suspended inside no_grad: two such generators side by side would leave gradients switched off
        with torch.no_grad():
            states = self.states(ids).index_select(0, rows)
        for outer in _stretches(0, len(rows), self._rows(_HEAD_BYTES, states.element_size())):
            with torch.no_grad():
                logits = self.logits(states[outer])
            for part in _stretches(outer.start, outer.stop, self._rows(_LOSS_BYTES, 4)):
                yield part, logits[part.start - outer.start : part.stop - outer.start]

    def backward(
        self, ids: torch.Tensor, rows: torch.Tensor, term: Callable[[slice, torch.Tensor], torch.Tensor]
    ) -> float:
        """Add the gradient of the sum of ``term`` over stretches of ``rows`` to the parameters; returns that sum.

        ``term`` is given a stretch of ``rows`` and its logits, and returns a scalar. Gradients go from each stretch to
        the logits, from those to the states, and then all at once into the layers: no graph over the whole vocabulary
        outlives its stretch.
        """
        states = self.states(ids).index_select(0, rows)
        total = 0.0
        gradients = []
        for outer in _stretches(0, len(rows), self._rows(_HEAD_BYTES, states.element_size())):
            leaf = states[outer].detach().requires_grad_(states.requires_grad)
            logits = self.logits(leaf)
            # the product's own gradient does not need its result: the gradient is written over it
            flat = logits.detach().clone() if logits is leaf else logits.detach()
            for part in _stretches(outer.start, outer.stop, self._rows(_LOSS_BYTES, 4)):
                place = flat[part.start - outer.start : part.stop - outer.start]
                total += _descend(place, part, term)
            if logits.requires_grad:
                logits.backward(flat)
            gradients.append(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad)
        if states.requires_grad:
            states.backward(torch.cat(gradients))
        return total

    def _rows(self, size: int, width: int) -> int:
        return max(_LEAST_ROWS, size // (width * self.vocabulary))


def _descend(place: torch.Tensor, part: slice, term: Callable[[slice, torch.Tensor], torch.Tensor]) -> float:
    """The term over these logits; ``place`` is overwritten with its gradient."""
    logits = place.detach().requires_grad_()
    loss = term(part, logits)
    if loss.requires_grad:  # a stretch without any term has none
        loss.backward()
    value = float(loss.detach())
    gradient = logits.grad
    if gradient is None:
        place.zero_()
    else:
        place.copy_(gradient)
    return value


def _stretches(start: int, stop: int, size: int) -> Iterator[slice]:
    for at in range(start, stop, size):
        yield slice(at, min(stop, at + size))
