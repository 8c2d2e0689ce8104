"""Writing a Llama-family model as GGUF: names, order of rotary weights, quantized blocks, tokenizer.

Tensors are read, quantized and written one after the other, so memory stays near the largest of them. The same input
gives the same bytes: nothing of the machine, the path or the time enters the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from kistack.errors import ModelError, StepFailed
from kistack_gguf.kinds import BLOCK, KINDS, Kind
from kistack_gguf.vocabulary import Vocabulary, read_vocabulary
from kistack_gguf.weights import Floats, Tensor, Weights

#: Numbers quantized at once: bounds the temporary memory to a few hundred megabytes.
_PIECE = 1 << 24
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
#: Licences by words of their text, as SPDX names them.
_LICENCES = {"apache license": "apache-2.0", "mit license": "mit", "permission is hereby granted": "mit"}
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "NOTICE")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``matrix_bytes`` and ``source_matrix_bytes`` compare the matrices alone: vectors stay fp32."""

    bytes: int
    params: int
    matrix_bytes: int
    source_matrix_bytes: int
    fallbacks: int


@dataclass(frozen=True)
class _Part:
    """One tensor on its way: ``rows`` are its shape's first dimension, ``heads`` not 0 where rotary pairs move."""

    name: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    heads: int = 0
    source: Tensor | None = None
    values: Floats | None = None


def export(source: Path, target: Path, kind: Kind, progress: Callable[[int, int], None] = lambda *_: None) -> Exported:
    """Write the model folder ``source`` as the file ``target``.

    ``progress`` is called with the numbers of weights written and in all.

    Raises:
        ModelError: a part of the model or its tokenizer has no form in GGUF.
        StepFailed: weights that are not finite, or too large for half precision.

    """
    config = _config(source)
    weights = Weights(source)
    if _EMBEDDING not in weights:
        raise ModelError(f"{source}: holds no {_EMBEDDING}", "give a causal language model of the Llama family")
    vocabulary = read_vocabulary(source, weights[_EMBEDDING].shape[0])
    parts = list(_parts(config, weights, kind))
    writer = gguf.GGUFWriter(target, "llama")
    _describe(writer, config, vocabulary, kind, source)
    try:
        matrix, matrix_before = _write(writer, parts, progress)
    finally:
        writer.close()
    wanted = {gguf.GGMLQuantizationType[kind.name], gguf.GGMLQuantizationType[kind.head]}
    return Exported(
        bytes=target.stat().st_size,
        params=sum(math.prod(p.shape) for p in parts),
        matrix_bytes=matrix,
        source_matrix_bytes=matrix_before,
        fallbacks=sum(p.kind not in wanted for p in parts if len(p.shape) > 1),
    )


def _write(writer: gguf.GGUFWriter, parts: list[_Part], progress: Callable[[int, int], None]) -> tuple[int, int]:
    """Head and tensors; returns the bytes of the matrices as written and as they were."""
    for part in parts:
        shape = gguf.quant_shape_to_byte_shape(part.shape, part.kind) if _blocked(part.kind) else part.shape
        stored = np.dtype(np.uint8) if _blocked(part.kind) else _dtype(part.kind)
        writer.add_tensor_info(part.name, shape, stored, math.prod(shape) * stored.itemsize, raw_dtype=part.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    total, done, matrix, matrix_before = sum(math.prod(p.shape) for p in parts), 0, 0, 0
    for part in parts:
        data = _encode(part)
        writer.write_tensor_data(data)
        done += math.prod(part.shape)
        if part.source is not None and len(part.shape) > 1:
            matrix, matrix_before = matrix + data.nbytes, matrix_before + part.source.nbytes
        progress(done, total)
    return matrix, matrix_before


def _config(source: Path) -> Mapping[str, Any]:
    file = source / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ModelError(f"{file}: cannot be read: {e}", "give a Hugging Face model folder") from e
    if config.get("model_type") != "llama":
        raise ModelError(f"{file}: model type {config.get('model_type')!r} is not llama", "export a Llama-family model")
    if config.get("hidden_act", "silu") != "silu":
        raise ModelError(f"{file}: activation {config['hidden_act']!r} has no form in GGUF's llama", "use silu")
    return dict(config)


def _blocked(kind: gguf.GGMLQuantizationType) -> bool:
    return kind not in {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16}


def _dtype(kind: gguf.GGMLQuantizationType) -> np.dtype[Any]:
    return np.dtype(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16)


# --- tensors


def _parts(config: Mapping[str, Any], weights: Weights, kind: Kind) -> Iterator[_Part]:
    """Every tensor under its name in GGUF, in order of the layers.

    A head that is the embedding is left out: llama.cpp takes the embedding where there is none.
    """
    layers = int(config["num_hidden_layers"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)
    heads = int(config["num_attention_heads"])
    turned = {"q_proj": heads, "k_proj": int(config.get("num_key_value_heads") or heads)}
    factors = _rope_factors(config)
    if factors is not None:
        yield _Part("rope_freqs.weight", factors.shape, gguf.GGMLQuantizationType.F32, values=factors)
    for tensor in sorted(weights, key=_place):
        if tensor.name.endswith("rotary_emb.inv_freq") or (tensor.name == _HEAD and config.get("tie_word_embeddings")):
            continue
        name = names.get_name(tensor.name, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ModelError(f"{tensor.file}: {tensor.name} has no place in a Llama model", "export a plain Llama")
        moved = next((n for p, n in turned.items() if f".{p}." in tensor.name), 0)
        yield _Part(name, tensor.shape, _kind_of(tensor, kind), moved, tensor)


def _place(tensor: Tensor) -> tuple[int, str]:
    found = [int(part) for part in tensor.name.split(".") if part.isdigit()]
    first = -1 if tensor.name == _EMBEDDING else 1 << 30
    return (found[0] if found else first), tensor.name


def _kind_of(tensor: Tensor, kind: Kind) -> gguf.GGMLQuantizationType:
    if len(tensor.shape) == 1:
        return gguf.GGMLQuantizationType.F32
    if kind.quantized and tensor.shape[-1] % BLOCK:
        return gguf.GGMLQuantizationType.F16
    return gguf.GGMLQuantizationType[kind.head if tensor.name in {_EMBEDDING, _HEAD} else kind.name]


def _encode(part: _Part) -> NDArray[Any]:
    """The tensor as its kind stores it."""
    if part.source is None:
        assert part.values is not None
        return part.values
    if len(part.shape) == 1 or part.heads:
        whole = interleave(part.source.rows(), part.heads) if part.heads else part.source.rows()
        return _stored(whole, part)
    step = max(1, _PIECE // math.prod(part.shape[1:]))
    pieces = [_stored(part.source.rows(start, start + step), part) for start in range(0, part.shape[0], step)]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _stored(values: Floats, part: _Part) -> NDArray[Any]:
    if not np.isfinite(values).all():
        raise StepFailed(f"{part.name}: the source holds NaN or infinite weights", "train again with a lower rate")
    with np.errstate(over="ignore"):
        data = np.asarray(gguf.quantize(np.ascontiguousarray(values), part.kind))
    if part.kind == gguf.GGMLQuantizationType.F16 and not np.isfinite(data).all():
        raise StepFailed(f"{part.name}: weights beyond 65504 do not fit half precision", "use kind Q8_0")
    return data


def interleave(rows: Floats, heads: int) -> Floats:
    """Rows of a query or key projection in the order of llama.cpp's rotary embedding, shape kept.

    transformers turns row ``i`` of a head with row ``i + d/2``, llama.cpp row ``2i`` with row ``2i + 1``.
    """
    half = rows.shape[0] // heads // 2
    grouped = rows.reshape(heads, 2, half, *rows.shape[1:])
    return np.ascontiguousarray(np.moveaxis(grouped, 1, 2)).reshape(rows.shape)


# --- metadata


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary parameters, wherever the config's version keeps them."""
    found = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    found.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    found["rope_type"] = found.get("rope_type") or found.get("type") or "default"
    return found


def _head_dim(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _rope_factors(config: Mapping[str, Any]) -> Floats | None:
    """What llama.cpp divides each rotary frequency by, shape ``(head_dim / 2,)``; None where nothing is scaled so.

    Long wave lengths are stretched by ``factor``, short ones stay, those between go over smoothly. Source: Llama 3.1,
    as ``rope_type: llama3`` in transformers' ``modeling_rope_utils``.

    Raises:
        ModelError: a way of scaling that has no form here.

    """
    rope = _rope(config)
    if rope["rope_type"] in {"default", "linear"}:
        return None
    if rope["rope_type"] != "llama3":
        raise ModelError(f"rotary scaling {rope['rope_type']!r} cannot be exported", "use default, linear or llama3")
    dim = _head_dim(config)
    waves = 2 * np.pi * float(rope["rope_theta"]) ** (np.arange(0, dim, 2, dtype=np.float64) / dim)
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    turns = float(rope["original_max_position_embeddings"]) / waves
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1.0 / (kept + (1.0 - kept) / float(rope["factor"]))).astype(np.float32)


def _describe(
    writer: gguf.GGUFWriter, config: Mapping[str, Any], vocabulary: Vocabulary, kind: Kind, source: Path
) -> None:
    heads, dim, rope = int(config["num_attention_heads"]), _head_dim(config), _rope(config)
    writer.add_type(gguf.GGUFType.MODEL)
    if licence := find_licence(source):
        writer.add_license(licence)
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_dimension_count(dim)
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_vocab_size(len(vocabulary.tokens))
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind.name}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _describe_tokens(writer, vocabulary)


def _describe_tokens(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    add = {
        "bos": writer.add_bos_token_id,
        "eos": writer.add_eos_token_id,
        "eot": writer.add_eot_token_id,
        "unk": writer.add_unk_token_id,
        "pad": writer.add_pad_token_id,
    }
    for name, number in vocabulary.special.items():
        add[name](number)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    writer.add_add_space_prefix(vocabulary.add_space_prefix)
    if vocabulary.chat_template:
        writer.add_chat_template(vocabulary.chat_template)


def find_licence(source: Path) -> str:
    """The SPDX name of the model's licence: from the head of its README, else told by its licence text, else empty."""
    readme = source / "README.md"
    if readme.exists():
        for line in readme.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0].splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "license" and value.strip():
                return value.strip().strip("\"'")
    for name in LICENCE_FILES:
        if (source / name).exists():
            text = (source / name).read_text(encoding="utf-8", errors="replace").lower()
            return next((spdx for words, spdx in _LICENCES.items() if words in text), "other")
    return ""


__all__ = ["KINDS", "LICENCE_FILES", "Exported", "export", "find_licence", "interleave"]
