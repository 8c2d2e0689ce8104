"""Numbers that both stages estimate with."""

from __future__ import annotations

from collections.abc import Mapping

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.plugins import costs

#: Seconds for imports and loading.
START_SECONDS = 12.0
#: Bytes of a tokenizer's files per token of its vocabulary (measured: 3.5 MB for 49,152).
TOKENIZER_BYTES = 72.0
#: Logits that exist at once take this much (see ``kistack_torch.splitting``).
LOGIT_BYTES = 64 * 2**20
#: Tokens of a pair nobody has counted (a question, three passages, an answer), and how many there may be.
_PAIR_TOKENS, _PAIRS = 200.0, 300.0


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


def kept_layers(layers: int, keep_every: int) -> tuple[int, ...]:
    """Which of a teacher's ``layers`` a student keeps: one in ``keep_every``, evenly spread, first and last included.

    At least two are kept (one where there is only one).
    """
    if layers < 2:  # noqa: PLR2004 - nothing lies between first and last
        return tuple(range(layers))
    count = max(2, -(-layers // keep_every))
    return tuple((2 * i * (layers - 1) + count - 1) // (2 * (count - 1)) for i in range(count))
