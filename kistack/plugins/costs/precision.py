"""How weights are stored: bits per weight of every precision, and which matrices a layout leaves alone."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import MappingProxyType

from kistack.errors import InputError

#: llama.cpp: bits per weight of whole files. Those of the plain block types are exact (32 weights share one fp16 scale,
#: ``_1`` types also a minimum); those of the mixtures are of Llama-3.1-8B, and what a shape makes of them tells
#: ``gguf.file_bytes``. Source: llama.cpp, tools/quantize/README.md; Q3_K_M from its own rule.
_GGUF_BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.5633,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q5_k_m": 5.7036,
    "q5_k_s": 5.5704,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "q4_k_m": 4.8944,
    "q4_k_s": 4.6672,
    "iq4_nl": 4.6818,
    "iq4_xs": 4.4597,
    "q3_k_l": 4.2979,
    "q3_k_m": 3.9960,
    "q3_k_s": 3.6429,
    "iq3_m": 3.7628,
    "iq3_s": 3.6606,
    "iq3_xs": 3.4977,
    "iq3_xxs": 3.2548,
    "q2_k": 3.1593,
    "q2_k_s": 2.9697,
    "iq2_m": 2.9294,
    "iq2_s": 2.7403,
    "iq2_xs": 2.5882,
    "iq2_xxs": 2.3824,
    "iq1_m": 2.1460,
    "iq1_s": 2.0042,
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a library that quantizes linear layers stores a model.

    ``bits`` per quantized weight, scales and zero points included; ``head``: whether the output head is quantized too
    (a tied one is then stored a second time); ``rest``: bits of the input embedding and of whatever else stays.
    """

    bits: float
    head: bool = False
    rest: float = 16.0


#: Bits plus (scale bits + zero bits) / group. Sources: GPTQ and AWQ checkpoints (fp16 scale, zero packed in as many
#: bits as a weight, group 128, head kept: AutoGPTQ, AutoAWQ); LLM.int8() and NF4: bitsandbytes keeps the head, one
#: scale a row, or an fp32 absmax for 64 weights, 4.127 bits with double quantization (QLoRA, arXiv:2305.14314);
#: torchao and gpt-fast quantize the head as well (int4: bf16 scale and zero per group; their READMEs give 3.74 GB for
#: the linear layers of Llama-2-7B in groups of 64); ``quantize_dynamic`` of PyTorch keeps the rest in fp32 (dynamic
#: quantization tutorial for BERT: 438 to 181 MB). The plain int4 names count an fp16 scale and zero per group.
_LAYOUTS = {
    "fp32": Layout(32.0, head=True, rest=32.0),
    "fp16": Layout(16.0, head=True),
    "bf16": Layout(16.0, head=True),
    "fp8": Layout(8.0),
    "int8": Layout(8.0),
    "int8-dynamic": Layout(8.0, head=True, rest=32.0),
    "int4": Layout(4.25),
    "int4-g128": Layout(4.25),
    "int4-g64": Layout(4.5),
    "int4-g32": Layout(5.0),
    "nf4": Layout(4.5),
    "nf4-dq": Layout(4.127),
    "gptq-int8": Layout(8 + (16 + 8) / 128),
    "gptq-int4": Layout(4 + (16 + 4) / 128),
    "awq": Layout(4 + (16 + 4) / 128),
    "torchao-int8": Layout(8.0, head=True),
    "torchao-int8-dynamic": Layout(8.0, head=True),
    "torchao-int4-g256": Layout(4.125, head=True),
    "torchao-int4-g128": Layout(4.25, head=True),
    "torchao-int4-g64": Layout(4.5, head=True),
    "torchao-int4-g32": Layout(5.0, head=True),
}
LAYOUTS = MappingProxyType(_LAYOUTS)

#: Precisions and their bits per weight.
BITS = MappingProxyType({**_GGUF_BITS, **{name: layout.bits for name, layout in _LAYOUTS.items()}})

#: Bits of a number of unquantized weights and of activations.
HALF = 16.0


def bits(precision: str) -> float:
    """Bits per weight of a precision, group overhead included; upper and lower case are the same.

    Raises:
        InputError: no such precision; the hint names close ones.

    """
    found = BITS.get(precision.lower())
    if found is None:
        close = difflib.get_close_matches(precision.lower(), BITS, n=3, cutoff=0.3) or sorted(BITS)
        raise InputError(f"unknown precision {precision!r}", f"use one of: {', '.join(close)}")
    return found


def is_quantized(precision: str) -> bool:
    """Whether weights are stored in fewer than 16 bits."""
    return bits(precision) < HALF


def is_gguf(precision: str) -> bool:
    """Whether the name is a type of GGUF file."""
    return precision.lower() in _GGUF_BITS
