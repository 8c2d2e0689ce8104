"""What training plugins estimate with. Light: no torch, so that estimates may import it."""

from __future__ import annotations

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
#: Up to this many tokens attention weights are kept for the backward pass (see ``training.choose_attention``): once in
#: fp32 and twice in the model's format, of which one is freed early. Measured: 8 bytes each.
_PLAIN_ATTENTION, _ATTENTION_BYTES = 512, 8.0
#: Norms keep their input in fp32, and the allocator what it was given before. Measured: 135 M parameters in bf16, LoRA,
#: 4.76 GB at 1,840 tokens a batch, 3.6 GB at 1,560.
_ACTIVATIONS = 1.3
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


def layer_params(model: Type) -> float:
    """Parameters outside the vocabulary matrices."""
    return max(0.0, model.fact("params") - costs.embedding_params(model) - costs.untied_params(model))


def chosen_dtype(dtype: str, profile: Profile) -> str:
    """The number format that ``auto`` stands for on the training machine."""
    if dtype != "auto":
        return dtype
    here = costs.machine(profile)
    return "bf16" if here.gpus or here.bf16_is_native else "fp32"


def epochs_for(count: float, seen: float, most: int) -> int:
    """How often to see each of ``count`` pairs, so that about ``seen`` examples are seen in all."""
    return max(1, min(most, round(seen / count))) if count else 2


def training_bytes(
    model: Type,
    trainable: float,
    *,
    together: float,
    length: float,
    logits: float,
    dtype: str,
    recompute: bool = False,
) -> float:
    """Peak memory of ``training.train``.

    Args:
        model: the model, with adapters not counted.
        trainable: how many numbers are trained.
        together: tokens computed at once.
        length: tokens of one example.
        logits: positions of the ``together`` whose logits are formed.
        dtype: number format of the model.
        recompute: whether activations are computed twice.
    """
    width = 4.0 if dtype == "fp32" else 2.0
    plain = costs.train_peak_bytes(model, trainable, together, length, dtype, checkpointing=recompute, logit_tokens=0)
    activations = costs.activation_bytes(model, together, width, checkpointing=recompute)
    depth = 1.0 if recompute else model.fact("layers")
    kept = (
        depth * model.fact("heads", 1.0) * together * length * _ATTENTION_BYTES if length <= _PLAIN_ATTENTION else 0.0
    )
    vocabulary = model.fact("vocab")
    # the gradient of a trained head: in the model's format, beside the one that is gathered in fp32
    head = costs.embedding_params(model) * (width + 4) if trainable >= model.fact("params") else 0.0
    return plain + (_ACTIVATIONS - 1) * activations + kept + logits * vocabulary * width + _LOSS_BYTES + head
