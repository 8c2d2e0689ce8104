"""What a GGUF file holds, and what becomes of it as a Hugging Face folder (``conversion`` makes it)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kistack.domain.artifacts import Type
from kistack.errors import ModelError
from kistack.plugins.costs import WORKER_BYTES
from kistack_transformers import vocabulary
from kistack_transformers.header import PLAIN, Header, read_header

WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}

TOKENS = "tokenizer.ggml.tokens"

#: Families that llama.cpp writes in another way than transformers.
_FAMILIES = {
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "gpt-oss": "gpt_oss",
    "gemma3": "gemma3_text",
    "minimax-m2": "minimax_m2",
}

_NUMBERS = {
    "layers": "block_count",
    "hidden": "embedding_length",
    "heads": "attention.head_count",
    "kv_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "ffn": "feed_forward_length",
    "context": "context_length",
    "vocab": "vocab_size",
}

#: ``tokenizer.json`` spends about this much on a token, its merge included (measured: 3.5 MB for 49,152).
_TOKEN_BYTES = 72.0

#: Seconds on one core: starting torch and transformers; reading metadata (twice) per token; unpacking, casting and
#: writing per parameter. Measured with SmolLM2-135M: 17 to 33 s on two machines, most of it single-threaded Python.
_START_SECONDS, _SECONDS_PER_TOKEN, _SECONDS_PER_PARAM = 8.0, 2.2e-4, 3.5e-8


def choose_format(header: Header, wanted: str) -> tuple[str, str]:
    """The number format to store unpacked weights in, and why. ``wanted``: ``auto``, ``fp32``, ``bf16``, ``fp16``."""
    if wanted != "auto":
        return wanted, f"{wanted} because the settings ask for it"
    stored = {t.kind for t in header.weights() if len(t.shape) > 1}
    if stored <= PLAIN.keys():
        names = {PLAIN[k] for k in stored}
        if len(names) == 1:
            return (name := names.pop()), f"{name} because the file stores its weights so: nothing is rounded"
        return "fp32", "fp32 because the file mixes number formats: nothing is rounded"
    return (
        "bf16",
        "bf16 because unpacked quantized weights differ from it by less than their own rounding, in half the bytes",
    )


def describe(path: Path, wanted: str) -> Type:
    """The type of the folder that converting ``path`` leaves, without identity.

    Raises:
        ModelError: not a GGUF file of a language model with its tokenizer.

    """
    header = read_header(path, (TOKENS,))
    tokens = header.metadata.get(TOKENS)
    if not header.architecture or not isinstance(tokens, list) or not header.number("block_count"):
        raise ModelError(f"{path}: no language model with a tokenizer in it", "name a GGUF file of a language model")
    facts = {name: value for name, key in _NUMBERS.items() if (value := header.number(key))}
    facts.setdefault("vocab", float(len(tokens)))
    facts.setdefault("kv_heads", facts.get("heads", 0.0))
    if facts.get("heads"):
        facts.setdefault("head_dim", facts["hidden"] / facts["heads"])
    precision, _ = choose_format(header, wanted)
    params = float(sum(t.count for t in header.weights()))
    return Type(
        kind="model",
        format="hf",
        facets={
            "precision": precision,
            "family": _FAMILIES.get(header.architecture, header.architecture),
            "vocabulary": vocabulary.of_tokens(tokens),
        },
        facts={**facts, "params": params, "bytes": params * WIDTHS[precision] + len(tokens) * _TOKEN_BYTES},
    )


def digest(path: Path, wanted: str) -> str:
    """Identity of what converting ``path`` leaves: its content, and the number format."""
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    precision, _ = choose_format(read_header(path), wanted)
    return hashlib.sha256(f"gguf {content} {precision}".encode()).hexdigest()


def seconds(found: Type) -> float:
    """Seconds that converting takes."""
    return _START_SECONDS + found.fact("vocab") * _SECONDS_PER_TOKEN + found.fact("params") * _SECONDS_PER_PARAM


def peak_bytes(found: Type) -> float:
    """Memory that converting takes: the weights, and the largest matrix once more in fp32 and as its blocks."""
    return WORKER_BYTES + found.fact("bytes") + 6 * found.fact("vocab") * found.fact("hidden")


def licence(path: Path) -> str:
    """The licence that the file states, or nothing."""
    return str(read_header(path).metadata.get("general.license", ""))


def chat_template(path: Path) -> str:
    """The chat template in the file, or nothing."""
    return str(read_header(path).metadata.get("tokenizer.chat_template", ""))
