"""How far a student is from its teacher. Heavy: imported only inside ``run``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from kistack_torch.batching import Example, micro_batches, padded_ids, target_rows
from kistack_torch.losses import divergence
from kistack_torch.splitting import SplitModel


@dataclass(frozen=True, slots=True)
class Distance:
    """Between teacher and student over some texts.

    ``kl``: mean KL(teacher ‖ student) per token in nats, over the whole vocabulary, at temperature 1. ``agreement``:
    share of tokens (0 to 1) at which both think the same one likeliest.
    """

    kl: float
    agreement: float


def distance(
    teacher: SplitModel, student: SplitModel, examples: Sequence[Example], *, everywhere: bool, budget: int, pad: int
) -> Distance:
    """The distance over ``examples``: at every token of them (``everywhere``) or at those of the answers."""
    kl, same, count = 0.0, 0, 0
    for batch in micro_batches(range(len(examples)), [len(e) for e in examples], budget):
        chosen = [examples[i] for i in batch]
        rows, _, _ = target_rows(chosen, everywhere=everywhere)
        ids = torch.tensor(padded_ids(chosen, pad), device=teacher.model.device)
        places = torch.tensor(rows, device=ids.device)
        # both vocabularies are equal, so both are cut into the same chunks
        pairs = zip(teacher.each_chunk(ids, places), student.each_chunk(ids, places), strict=True)
        for (_, theirs), (_, ours) in pairs:
            kl += float(divergence(theirs, ours).double().sum())
            same += int((theirs.argmax(dim=-1) == ours.argmax(dim=-1)).sum())
        count += len(rows)
    return Distance(kl / max(1, count), same / max(1, count))
