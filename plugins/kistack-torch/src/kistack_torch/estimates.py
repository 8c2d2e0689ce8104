"""What training plugins estimate with. Light: no torch, so that estimates may import it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.plugins import costs

#: Bytes of a tokenizer's files per token of its vocabulary (measured: 3.5 MB for 49,152).
TOKENIZER_BYTES = 72.0
#: Weight and two moments in fp32, and for a moment the checkpoint that is being replaced.
CHECKPOINT_BYTES = 2 * 12.0

#: Tokens of a pair nobody has counted (a question, three passages, an answer), and how many pairs are assumed.
_PAIR_TOKENS, _PAIRS = 200.0, 300.0
#: On a processor, up to this many tokens attention weights are kept for the backward pass (see
#: ``training.choose_attention``): once in fp32 and twice in the model's format, of which one is freed early. Measured:
#: 8 bytes each.
_PLAIN_ATTENTION, _ATTENTION_BYTES = 512, 8.0
#: Norms keep their input in fp32, and the allocator what it was given before. Measured: 135 M parameters in bf16, LoRA,
#: 4.76 GB with 2,048 tokens in the largest batch; half the layers, all weights trained, 4.28 GB with 1,664.
_ACTIVATIONS = 1.1
#: Batches hold examples of similar length, so the largest is longer than the mean (release desk: 1.37, 1.41).
_LONGEST = 1.4
#: Logits that exist at once, gradients included (see ``splitting``).
_LOSS_BYTES = 4 * 24 * 2**20


def pair_count(profile: Profile, inputs: Mapping[str, Type]) -> float:
    """How many pairs there are, or are assumed."""
    held = inputs["pairs"].fact("count") if "pairs" in inputs else 0.0
    return held or profile.number("pairs.train") or _PAIRS


def pair_tokens(inputs: Mapping[str, Type]) -> float:
    """Mean tokens of a pair with its prompt."""
    pairs = inputs.get("pairs")
    if pairs is None:
        return _PAIR_TOKENS
    return (pairs.fact("prompt_tokens") + pairs.fact("answer_tokens")) or _PAIR_TOKENS


def chosen_dtype(dtype: str, profile: Profile) -> str:
    """The number format that ``auto`` stands for on the training machine."""
    if dtype != "auto":
        return dtype
    here = costs.machine(profile)
    return "bf16" if here.gpus or here.bf16_is_native else "fp32"


def epochs_for(count: float, seen: float, most: int) -> int:
    """How often to see each of ``count`` pairs, so that about ``seen`` examples are seen in all."""
    return max(1, min(most, round(seen / count))) if count else 2


def micro_batches(count: float, epochs: int, length: float, *, batch: int, budget: float) -> float:
    """How often a training goes there and back, for ``count`` pairs of ``length`` tokens: see ``TrainingOptions``."""
    return math.ceil(count / batch) * epochs * math.ceil(batch * length / budget)


def training_bytes(  # noqa: PLR0913 - each of them decides the memory
    model: Type,
    trainable: float,
    here: costs.Machine,
    *,
    batch: int,
    budget: float,
    length: float,
    looked_at: float,
    dtype: str,
    recompute: bool = False,
) -> float:
    """Peak memory of ``training.train``.

    Args:
        model: the model, with adapters not counted.
        trainable: how many numbers are trained.
        here: the machine that trains.
        batch: examples per optimizer step.
        budget: tokens computed at once, at most.
        length: mean tokens of one example.
        looked_at: share of the tokens whose logits are formed.
        dtype: number format of the model.
        recompute: whether activations are computed twice.
    """
    width = 4.0 if dtype == "fp32" else 2.0
    longest = _LONGEST * length
    together = min(budget, batch * longest)
    plain = costs.train_peak_bytes(model, trainable, together, longest, dtype, checkpointing=recompute, logit_tokens=0)
    plain += costs.worker_bytes(here) - costs.WORKER_BYTES
    activations = costs.activation_bytes(model, together, width, checkpointing=recompute)
    depth = 1.0 if recompute else model.fact("layers")
    weights = depth * model.fact("heads", 1.0) * together * longest * _ATTENTION_BYTES
    kept = weights if longest <= _PLAIN_ATTENTION and not here.gpus else 0.0
    logits = looked_at * together * model.fact("vocab") * width + _LOSS_BYTES
    # the gradients of trained vocabulary matrices: in the model's format, beside those gathered in fp32
    head = costs.embedding_params(model) * (width + 4) if trainable >= model.fact("params") else 0.0
    return plain + (_ACTIVATIONS - 1) * activations + kept + logits + head
