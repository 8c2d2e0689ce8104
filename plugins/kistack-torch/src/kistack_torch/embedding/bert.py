"""BERT's forward pass in numpy: opened in half a second, a tenth of what torch and transformers take.

Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019. Most small embedders (MiniLM, BGE,
E5, GTE) are of this architecture; others are opened with transformers. The vectors agree with those that torch
computes to about six decimals.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from kistack.errors import ModelError
from kistack_torch.embedding.batching import Vectors, encode_sorted
from kistack_torch.embedding.layout import Layout, Role
from kistack_torch.embedding.weights import map_tensors, read_header

Floats = NDArray[np.float32]

_CONFIG, _WEIGHTS, _TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
#: Of weights; integers are the positions that older files store.
_DTYPES = frozenset({"F32", "F16", "I64"})
_ACTIVATIONS = frozenset({"gelu", "relu"})
#: Added to the scores of padding before the softmax; its exponential is 0 in fp32.
_MASKED = np.float32(-1e9)
#: Tokens computed together. More than fit into the cache make numpy wait for memory between one operation and the next.
_TOKENS_AT_ONCE = 256


def is_supported(layout: Layout) -> bool:
    """Whether ``BertEncoder`` computes this embedder; reads its config and the names of its weights only."""
    folder = layout.transformer
    if layout.dense or layout.pooling not in {"mean", "cls"} or not (folder / _TOKENIZER).exists():
        return False
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        dtypes = {tensor["dtype"] for tensor in read_header(folder / _WEIGHTS).values()}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") in _ACTIVATIONS
        and config.get("position_embedding_type", "absolute") == "absolute"
        and dtypes <= _DTYPES
    )


class BertEncoder:
    """An embedder that ``is_supported``, in fp32.

    Raises:
        ModelError: its files are damaged.

    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        folder = layout.transformer
        try:
            self._config: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
            self._weights = {n.removeprefix("bert."): w for n, w in map_tensors(folder / _WEIGHTS).items()}
            self._tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
        except Exception as error:  # tokenizers raises bare Exceptions
            raise ModelError(
                f"{folder}: the embedder cannot be loaded ({error})", "fetch the embedder again"
            ) from error
        positions = int(self._config.get("max_position_embeddings", 512))
        self.length = min(layout.length or positions, positions)
        self._tokenizer.enable_truncation(self.length)
        self._tokenizer.enable_padding(pad_id=int(self._config.get("pad_token_id") or 0))

    @property
    def room(self) -> int:
        """Most tokens of a passage that the embedder reads, its special tokens and prompt apart."""
        prompt = len(self.tokens(self.layout.prompts["passage"]))
        return max(1, self.length - int(self._tokenizer.num_special_tokens_to_add(is_pair=False)) - prompt)

    def tokens(self, text: str) -> list[int]:
        """The token ids of ``text`` without special tokens, uncut."""
        found: list[int] = self._counter.encode(text, add_special_tokens=False).ids
        return found

    @cached_property
    def _counter(self) -> Any:
        """The tokenizer without truncation and padding, which are properties of the object."""
        counter: Any = Tokenizer.from_str(self._tokenizer.to_str())
        counter.no_truncation()
        counter.no_padding()
        return counter

    def encode(self, texts: Sequence[str], role: Role = "passage", *, batch: int = 32) -> Vectors:
        """Vectors (n, d) of ``texts`` in their order."""
        with one_thread_each(), ThreadPoolExecutor(_cores()) as pool:
            return encode_sorted(texts, lambda chosen: self._encode_batch(chosen, role), batch, pool.map)

    def _encode_batch(self, texts: Sequence[str], role: Role) -> Vectors:
        prompt = self.layout.prompts[role]
        given = [prompt + (text.lower() if self.layout.lower_case else text) for text in texts]
        encoded = self._tokenizer.encode_batch(given)
        ids = np.array([e.ids for e in encoded])
        kinds = np.array([e.type_ids for e in encoded])
        mask = np.array([e.attention_mask for e in encoded], dtype=np.float32)
        rows = max(1, _TOKENS_AT_ONCE // ids.shape[1])
        cuts = [slice(start, start + rows) for start in range(0, len(ids), rows)]
        return np.concatenate([self._compute(ids[cut], kinds[cut], mask[cut]) for cut in cuts])

    def _compute(self, ids: NDArray[np.int64], kinds: NDArray[np.int64], mask: Floats) -> Vectors:
        """One vector (n, d) of each row of token ids, segment ids and mask (n, t)."""
        longest = int(mask.sum(axis=1).max())
        ids, kinds, mask = ids[:, :longest], kinds[:, :longest], mask[:, :longest]
        hidden = self._forward(ids, kinds, mask)
        if self.layout.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            pooled = np.einsum("ntd,nt->nd", hidden, mask) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        if self.layout.normalised:
            pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return cast("Vectors", pooled.astype(np.float32))

    def _forward(self, ids: NDArray[np.int64], kinds: NDArray[np.int64], mask: Floats) -> Floats:
        """Token vectors (n, t, d) of token ids, segment ids and mask (n, t)."""
        w = self._weights
        hidden = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][kinds]
        hidden = self._normalise(hidden + w["embeddings.position_embeddings.weight"][: ids.shape[1]], "embeddings")
        bias = ((1 - mask) * _MASKED)[:, np.newaxis, np.newaxis, :]
        for number in range(int(self._config["num_hidden_layers"])):
            layer = f"encoder.layer.{number}"
            mixed = self._linear(self._attend(hidden, bias, layer), f"{layer}.attention.output.dense")
            hidden = self._normalise(hidden + mixed, f"{layer}.attention.output")
            inner = self._activate(self._linear(hidden, f"{layer}.intermediate.dense"))
            hidden = self._normalise(hidden + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output")
        return hidden

    def _attend(self, hidden: Floats, bias: Floats, layer: str) -> Floats:
        """Multi-head self-attention before its output projection, (n, t, d)."""
        n, t, d = hidden.shape
        heads = int(self._config["num_attention_heads"])

        def split(name: str) -> Floats:
            projected = self._linear(hidden, f"{layer}.attention.self.{name}")
            return projected.reshape(n, t, heads, d // heads).transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(np.sqrt(d // heads)) + bias
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed: Floats = (weights @ split("value")).transpose(0, 2, 1, 3).reshape(n, t, d)
        return mixed

    def _linear(self, x: Floats, name: str) -> Floats:
        product: Floats = x @ self._weights[f"{name}.weight"].T
        return product + self._weights[f"{name}.bias"]

    def _normalise(self, x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled: Floats = centred / np.sqrt(variance + np.float32(self._config.get("layer_norm_eps", 1e-12)))
        return scaled * self._weights[f"{name}.LayerNorm.weight"] + self._weights[f"{name}.LayerNorm.bias"]

    def _activate(self, x: Floats) -> Floats:
        if self._config.get("hidden_act", "gelu") == "relu":
            return np.maximum(x, 0)
        return np.float32(0.5) * x * (1 + erf(x * np.float32(np.sqrt(0.5))))


def erf(x: Floats) -> Floats:
    """The error function of fp32 numbers, to 2e-7: Abramowitz and Stegun, *Handbook*, 7.1.26."""
    size = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * size)
    series = t * np.float32(1.061405429) + np.float32(-1.453152027)
    for coefficient in (1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(coefficient)
    tail: Floats = series * t * np.exp(-size * size)
    return np.copysign(1 - tail, x)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Keep matrix products in the thread that asks for them.

    Products this small gain little from several threads, and where something else computes at the same time the
    threads wait for each other: measured, ten times slower. Batches run side by side instead.
    """
    with _blas().limit(limits=1, user_api="blas"):
        yield


@lru_cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
