"""The kinds of GGUF weights this plugin writes: their sizes, their names elsewhere, and how far they may drift."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KindName = Literal["Q8_0", "F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]

#: Weights that share one scale. A matrix whose rows are no multiple of it stays in F16.
BLOCK = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of weights.

    ``bits`` per weight, scales included. ``precision`` is the facet that other stages match. ``head`` is the kind
    of the vocabulary matrices: rounding them costs most where the input embedding is also the output head.
    ``tolerance`` is the largest mean KL divergence (nats per token) from the source that an export may show, five times
    and more what sound exports of a 135 M model showed: it is there to catch what is broken. ``agreement`` takes its
    place where no logits are to be had: the smallest share of an answer's tokens that stay before the first other one.
    ``points`` is the mean change of the right token's probability, in points, of Llama 3 8B.
    Source: llama.cpp, tools/perplexity/README.md (mean Δp; F16 against BF16).
    """

    name: KindName
    bits: float
    precision: str
    head: KindName
    tolerance: float
    agreement: float
    points: float

    @property
    def quantized(self) -> bool:
        """Whether weights take fewer than 16 bits."""
        return self.bits < 16  # noqa: PLR2004 - half precision


KINDS: MappingProxyType[str, Kind] = MappingProxyType(
    {
        k.name: k
        for k in (
            Kind("F16", 16.0, "fp16", "F16", 0.005, 0.75, 0.0),
            Kind("Q8_0", 8.5, "int8", "Q8_0", 0.03, 0.6, -0.02),
            Kind("Q5_1", 6.0, "q5_1", "Q8_0", 0.4, 0.2, -0.29),
            Kind("Q5_0", 5.5, "q5_0", "Q8_0", 0.4, 0.2, -0.42),
            Kind("Q4_1", 5.0, "int4", "Q8_0", 1.0, 0.1, -0.93),
            Kind("Q4_0", 4.5, "int4", "Q8_0", 1.0, 0.1, -1.59),
        )
    }
)
