"""The kinds of weights this plugin writes: their sizes, their names elsewhere, and how far they may drift."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KindName = Literal["int8", "int4"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of weights.

    ``bits`` per weight of a layer's matrices without their scales; vocabulary matrices always have eight.
    ``tolerance`` is the largest mean KL divergence (nats per token) from the source that an export may show: it is
    there to catch what is broken. ``points`` is the mean change of the right token's probability, in points, of a
    model of 8 billion parameters.
    """

    name: KindName
    bits: int
    tolerance: float
    points: float


#: Points: those of the nearest layouts of llama.cpp on Llama 3 8B (Q8_0; Q4_1, which is asymmetric too, with half as
#: many weights to a scale). Source: llama.cpp, tools/perplexity/README.md (mean Δp).
KINDS: MappingProxyType[str, Kind] = MappingProxyType(
    {
        "int8": Kind("int8", 8, 0.05, -0.02),
        "int4": Kind("int4", 4, 1.0, -1.0),
    }
)
