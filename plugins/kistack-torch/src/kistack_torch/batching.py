"""Which examples are computed together, and in which order. Pure: decided by lengths and a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kistack.errors import DataError

#: Batches drawn from one stretch of the shuffled examples: within it they are sorted by length, so a larger pool
#: wastes less on padding and a smaller one mixes better.
_POOL_BATCHES = 32

#: Lengths are padded to a multiple: kernels are prepared per shape, so fewer shapes start faster.
_LENGTH_STEP = 8

#: Positions of one micro-batch: indices of the examples computed together.
MicroBatch = tuple[int, ...]
#: Micro-batches whose gradients are added up for one optimizer step.
StepBatches = tuple[MicroBatch, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One chat as token ids: the first ``prompt`` of ``ids`` are the prompt, the rest is the answer.

    ``id`` and ``group`` are those of the pair it was made from.
    """

    ids: tuple[int, ...]
    prompt: int
    id: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.prompt < len(self.ids):
            raise DataError(
                f"pair {self.id!r}: a prompt of {self.prompt} tokens leaves no answer among {len(self.ids)}",
                "an example needs a prompt and an answer",
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def answer(self) -> int:
        """How many tokens the answer has."""
        return len(self.ids) - self.prompt


def padded_length(longest: int) -> int:
    """The length to which a micro-batch is padded whose longest example has ``longest`` tokens."""
    return -(-longest // _LENGTH_STEP) * _LENGTH_STEP


def micro_batches(indices: Sequence[int], lengths: Sequence[int], budget: int) -> StepBatches:
    """Cut ``indices`` into micro-batches of at most ``budget`` tokens, padding counted, similar lengths together.

    An example that alone exceeds the budget is a micro-batch of its own.
    """
    made: list[MicroBatch] = []
    current: list[int] = []
    for index in sorted(indices, key=lambda i: (lengths[i], i)):
        # sorted by length: the newcomer is the longest
        if current and (len(current) + 1) * padded_length(lengths[index]) > budget:
            made.append(tuple(current))
            current = []
        current.append(index)
    if current:
        made.append(tuple(current))
    return tuple(made)


def epoch_steps(lengths: Sequence[int], *, batch: int, budget: int, seed: int, epoch: int) -> list[StepBatches]:
    """One epoch: every example once, ``batch`` of them per optimizer step (the last step may have fewer).

    Examples are shuffled by ``seed`` and ``epoch``, cut into pools, sorted by length within a pool and cut into
    batches; the batches are shuffled again, so that lengths do not come in waves. The same arguments give the same
    order on every machine.
    """
    # seeded by text, which hashes the same everywhere; not for secrets
    draw = random.Random(f"{seed}/{epoch}")  # noqa: S311
    order = list(range(len(lengths)))
    draw.shuffle(order)
    pool = batch * _POOL_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda i: (lengths[i], i))
        batches += [near[at : at + batch] for at in range(0, len(near), batch)]
    draw.shuffle(batches)
    return [micro_batches(indices, lengths, budget) for indices in batches]


def all_steps(lengths: Sequence[int], *, batch: int, budget: int, seed: int, epochs: int) -> list[StepBatches]:
    """The optimizer steps of all epochs, one after the other."""
    return [
        step
        for epoch in range(epochs)
        for step in epoch_steps(lengths, batch=batch, budget=budget, seed=seed, epoch=epoch)
    ]


def padding_share(steps: Sequence[StepBatches], lengths: Sequence[int]) -> float:
    """Share of the computed positions that are padding, 0 to 1."""
    real = computed = 0
    for micro in each_micro_batch(steps):
        real += sum(lengths[i] for i in micro)
        computed += len(micro) * padded_length(max(lengths[i] for i in micro))
    return 1 - real / computed if computed else 0.0


def each_micro_batch(steps: Sequence[StepBatches]) -> Iterator[MicroBatch]:
    """The micro-batches of all steps in order."""
    for step in steps:
        yield from step


def padded_ids(examples: Sequence[Example], pad: int) -> list[list[int]]:
    """Their token ids, padded on the right with ``pad`` to one length.

    In a causal model no real token looks to its right, so nothing has to be masked.
    """
    width = padded_length(max(len(e) for e in examples))
    return [[*e.ids, *[pad] * (width - len(e))] for e in examples]


def target_rows(examples: Sequence[Example], *, everywhere: bool) -> tuple[list[int], list[int], list[bool]]:
    """Where a loss looks in a padded micro-batch of these examples.

    Returns, each with one entry per predicted token: the row of the flattened (batch x length) positions that
    predicts it, the token itself, and whether it belongs to an answer. ``everywhere`` predicts the prompt too (all
    but its first token), else the answer only.
    """
    width = padded_length(max(len(e) for e in examples))
    rows: list[int] = []
    tokens: list[int] = []
    answers: list[bool] = []
    for line, example in enumerate(examples):
        for at in range(1 if everywhere else example.prompt, len(example)):
            rows.append(line * width + at - 1)
            tokens.append(example.ids[at])
            answers.append(at >= example.prompt)
    return rows, tokens, answers
