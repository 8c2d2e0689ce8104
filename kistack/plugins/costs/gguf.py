"""GGUF files, tensor by tensor: which block type llama.cpp gives each matrix of a mixture such as Q4_K_M.

Rules and block sizes: llama.cpp, src/llama-quant.cpp (``llama_tensor_get_type``, ``tensor_type_fallback``) and
ggml/src/ggml-common.h, for models without experts. Types below four bits are taken to be made with an importance
matrix, without which llama.cpp refuses most of them; IQ4 to be made without.
"""

from __future__ import annotations

from functools import lru_cache

from kistack.domain.artifacts import Type
from kistack.plugins.costs.shapes import embedding_params, layer_matrices, linear_params, untied_params

#: Bits per weight of the block types.
_BLOCKS = {
    "f32": 32.0,
    "f16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.5625,
    "q5_k": 5.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_k": 4.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
    "iq4_xs": 4.25,
    "q3_k": 3.4375,
    "iq3_s": 3.4375,
    "iq3_xxs": 3.0625,
    "q2_k": 2.625,
    "iq2_s": 2.5625,
    "iq2_xs": 2.3125,
    "iq2_xxs": 2.0625,
    "iq1_m": 1.75,
    "iq1_s": 1.5625,
}
#: Blocks of these hold 256 weights of a row; what rows that are no multiple of it are stored in instead.
_SUPERBLOCK = 256
_FALLBACKS = {
    "q6_k": "q8_0",
    "q5_k": "q5_1",
    "q4_k": "q5_0",
    "q3_k": "q4_0",
    "q2_k": "q4_0",
    **dict.fromkeys(("iq4_xs", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), "iq4_nl"),
}
#: All others but the unquantized ones hold 32.
_BLOCK = 32
_UNQUANTIZED = frozenset({"f32", "f16"})

#: (which layers, block type). ``more`` are those that lose most: the first and last eighth, every third between.
Rule = tuple[str, str]

#: From this many query heads to a key head on, the value matrix is small enough to be stored well.
_GROUPED = 4

#: The block type of most matrices of each mixture.
_MOSTLY = {
    **{name: name for name in ("f32", "f16", "q8_0", "q6_k", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl", "iq4_xs")},
    **dict.fromkeys(("q5_k_m", "q5_k_s"), "q5_k"),
    **dict.fromkeys(("q4_k_m", "q4_k_s"), "q4_k"),
    **dict.fromkeys(("q3_k_l", "q3_k_m", "q3_k_s"), "q3_k"),
    **dict.fromkeys(("q2_k", "q2_k_s"), "q2_k"),
    **dict.fromkeys(("iq3_m", "iq3_s", "iq3_xs"), "iq3_s"),
    "iq3_xxs": "iq3_xxs",
    "iq2_m": "iq2_s",
    **dict.fromkeys(("iq2_s", "iq2_xs"), "iq2_xs"),
    "iq2_xxs": "iq2_xxs",
    "iq1_m": "iq1_m",
    "iq1_s": "iq1_s",
}

#: What single matrices get instead; the first rule that holds for a layer counts.
_DOWN: dict[str, tuple[Rule, ...]] = {
    "q2_k": (("all", "q3_k"),),
    "q2_k_s": (("eighth", "q4_k"),),
    "q3_k_m": (("sixteenth", "q5_k"), ("all", "q4_k")),
    "q3_k_l": (("all", "q5_k"),),
    "q4_k_s": (("eighth", "q5_k"),),
    "q4_k_m": (("more", "q6_k"),),
    "q5_k_m": (("more", "q6_k"),),
    "iq4_nl": (("eighth", "q5_k"),),
    "iq4_xs": (("eighth", "q5_k"),),
    "iq3_m": (("eighth", "q4_k"),),
    **dict.fromkeys(("iq2_m", "iq2_s"), (("eighth", "iq3_s"),)),
    **dict.fromkeys(("iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), (("eighth", "q2_k"),)),
}
_VALUE: dict[str, tuple[Rule, ...]] = {
    "q3_k_m": (("first two", "q5_k"), ("all", "q4_k")),
    "q3_k_l": (("all", "q5_k"),),
    "q4_k_s": (("first four", "q5_k"),),
    "q4_k_m": (("more", "q6_k"),),
    "q5_k_m": (("more", "q6_k"),),
    "iq3_m": (("all", "q4_k"),),
    "q2_k": (("all", "q3_k"),),
    **dict.fromkeys(("iq2_m", "iq2_s"), (("all", "iq3_s"),)),
    **dict.fromkeys(("iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), (("all", "q2_k"),)),
}
_GROUPED_VALUE = {
    **dict.fromkeys(("q2_k", "q2_k_s", "iq3_xxs", "iq3_xs", "iq3_s"), "q4_k"),
    **dict.fromkeys(("iq2_m", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), "q4_k"),
    **dict.fromkeys(("iq4_nl", "iq4_xs"), "q5_k"),
}
_OUTPUT = {
    "q2_k": "q3_k",
    "q3_k_m": "q4_k",
    "q3_k_l": "q5_k",
    "iq3_m": "q4_k",
    "iq3_xxs": "iq3_s",
    **dict.fromkeys(("iq2_m", "iq2_s"), "iq3_s"),
    **dict.fromkeys(("iq1_m", "iq1_s"), "iq2_xxs"),
}
_QUERY_AND_KEY = {"iq3_xs": "iq3_xxs", "iq3_xxs": "iq2_s"}
_GATE_AND_UP: dict[str, tuple[Rule, ...]] = {"iq3_xs": (("middle", "iq3_xxs"),)}
#: The input embedding of models with an output head of their own, and that head (or the tied matrix).
_EMBEDDING = {
    **dict.fromkeys(("iq3_xxs", "iq2_m", "iq2_s"), "iq3_s"),
    **dict.fromkeys(("iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), "q2_k"),
}
_HEAD = {
    **{name: name for name in ("f32", "f16", "q8_0")},
    **dict.fromkeys(("iq3_xxs", "iq2_m", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s"), "q5_k"),
}
_HEAD_OTHERWISE = "q6_k"
#: Models of 80 layers with grouped queries store their small value matrices in one type better.
_DEEP, _DEEP_VALUE = 80, {"q3_k": "q5_k", "q4_k": "q5_k"}


def vocabulary_bytes(model: Type, precision: str) -> tuple[float, float]:
    """(input embedding that only a lookup reads, output head or tied matrix) in bytes."""
    name, width = precision.lower(), model.fact("hidden")
    head = _stored(_HEAD.get(name, _HEAD_OTHERWISE), width)
    embedding = _stored(_EMBEDDING.get(name, _MOSTLY[name]), width)
    one = embedding_params(model)
    return untied_params(model) * embedding / 8, one * head / 8


def file_bytes(model: Type, precision: str) -> float:
    """Bytes of the tensors of a GGUF file: matrices in their types, vectors in fp32. The tokenizer comes on top."""
    heads = model.fact("heads", 1.0)
    shapes = tuple((name, rows, columns) for name, (rows, columns) in layer_matrices(model).items())
    layers, matrices = int(model.fact("layers")), sum(rows * columns for _, rows, columns in shapes)
    grouped = heads / (model.fact("kv_heads") or heads)
    mean = _layer_bits(precision.lower(), layers, shapes, grouped)
    linear = linear_params(model)
    vectors = max(0.0, model.fact("params") - linear - embedding_params(model) - untied_params(model))
    return linear * mean / matrices / 8 + sum(vocabulary_bytes(model, precision)) + 4 * vectors


@lru_cache(maxsize=256)
def _layer_bits(name: str, layers: int, shapes: tuple[tuple[str, float, float], ...], grouped: float) -> float:
    """Bits of the matrices of one layer, on average over the layers."""
    total = 0.0
    for layer in range(layers):
        for matrix, inputs, outputs in shapes:
            total += inputs * outputs * _stored(_block(name, matrix, layer, layers, grouped), inputs)
    return total / max(1, layers)


def _block(name: str, matrix: str, layer: int, layers: int, grouped: float) -> str:
    mostly = _MOSTLY[name]
    match matrix:
        case "v_proj":
            by_group = _GROUPED_VALUE.get(name) if grouped >= _GROUPED else None
            found = by_group or _first(_VALUE.get(name, ()), layer, layers, mostly)
            return _DEEP_VALUE.get(found, found) if layers == _DEEP and grouped > 1 else found
        case "down_proj":
            return _first(_DOWN.get(name, ()), layer, layers, mostly)
        case "o_proj":
            return _OUTPUT.get(name, mostly)
        case "q_proj" | "k_proj":
            return _QUERY_AND_KEY.get(name, mostly)
        case _:
            return _first(_GATE_AND_UP.get(name, ()), layer, layers, mostly)


def _first(rules: tuple[Rule, ...], layer: int, layers: int, otherwise: str) -> str:
    return next((block for where, block in rules if _holds(where, layer, layers)), otherwise)


def _holds(where: str, layer: int, layers: int) -> bool:
    eighth = layers // 8
    match where:
        case "more":
            return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2  # noqa: PLR2004 - every third
        case "middle":
            return eighth <= layer < 7 * layers // 8
        case "all":
            return True
        case _:
            ends = {"eighth": eighth, "sixteenth": layers // 16, "first two": 2, "first four": 4}
            return layer < ends[where]


def _stored(block: str, row: float) -> float:
    """Bits per weight of a matrix with rows of ``row`` weights."""
    if block in _FALLBACKS and row % _SUPERBLOCK:
        block = _FALLBACKS[block]
    if block not in _UNQUANTIZED and row % _BLOCK:
        block = "f16"
    return _BLOCKS[block]
