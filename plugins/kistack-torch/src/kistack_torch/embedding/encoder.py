"""Texts to vectors with transformers, for what numpy does not cover: any architecture, many texts, a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from kistack.errors import ModelError
from kistack_torch.devices import choose_device
from kistack_torch.embedding.batching import Vectors, encode_sorted
from kistack_torch.embedding.layout import Dense, Layout, Role, read_layout

# A worker writes what the core reads: bars of its own would only get in between.
transformers.utils.logging.disable_progress_bar()

_ACTIVATIONS = {
    "Identity": torch.nn.Identity,
    "Tanh": torch.nn.Tanh,
    "ReLU": torch.nn.ReLU,
    "GELU": torch.nn.GELU,
    "SiLU": torch.nn.SiLU,
}
#: Tokenizers without a limit report a huge number; take the model's positions, or this.
_LONGEST = 8192


class SentenceEncoder:
    """An embedder from a local folder, in fp32: nothing is fetched, no pickle is read, no remote code is run.

    Raises:
        ModelError: the folder cannot be read, or its weights are not safetensors.

    """

    def __init__(self, folder: Path) -> None:
        self.layout: Layout = read_layout(folder)
        self._device = choose_device()
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(self.layout.transformer, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(
                self.layout.transformer, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
            self._dense = [_load_dense(dense) for dense in self.layout.dense]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{folder}: the embedder cannot be loaded ({reason})", "give a folder with safetensors and a tokenizer"
            ) from error
        self._tokenizer.padding_side = "right"
        self._model.eval().to(self._device)
        for dense in self._dense:
            dense.eval().to(self._device)
        self.length = self.layout.length or self._longest()

    @property
    def room(self) -> int:
        """Most tokens of a passage that the embedder reads, its special tokens and prompt apart."""
        taken = len(self._tokenizer(self.layout.prompts["passage"])["input_ids"])
        return max(1, self.length - taken)

    def tokens(self, text: str) -> list[int]:
        """The token ids of ``text`` without special tokens, uncut."""
        found: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def encode(self, texts: Sequence[str], role: Role = "passage", *, batch: int = 32) -> Vectors:
        """Vectors (n, d) of ``texts`` in their order."""
        return encode_sorted(texts, lambda chosen: self._encode_batch(chosen, role), batch)

    def _encode_batch(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors (n, d) of ``texts``, all at once."""
        with torch.inference_mode():
            pooled = self._compute(texts, role)
        result: Vectors = pooled.float().cpu().numpy()
        return result

    def _compute(self, texts: Sequence[str], role: Role) -> torch.Tensor:
        prompt = self.layout.prompts[role]
        given = [prompt + (text.lower() if self.layout.lower_case else text) for text in texts]
        inputs = self._tokenizer(
            given, padding=True, truncation=True, max_length=self.length, return_tensors="pt", verbose=False
        ).to(self._device)
        hidden = self._model(**inputs).last_hidden_state
        pooled = self._pool(hidden, inputs["attention_mask"])
        for dense in self._dense:
            pooled = dense(pooled)
        if self.layout.normalised:
            pooled = torch.nn.functional.normalize(pooled, dim=1)
        return pooled

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token vectors (n, t, d) to one vector each (n, d); ``mask`` (n, t) is 1 where a token is."""
        if self.layout.pooling == "cls":
            return hidden[:, 0]
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        if self.layout.pooling == "max":
            return hidden.masked_fill(weights == 0, float("-inf")).amax(dim=1)
        counts = weights.sum(dim=1).clamp(min=1.0)
        if self.layout.pooling == "lasttoken":
            last = (counts.long() - 1).unsqueeze(-1).expand(-1, 1, hidden.shape[-1])
            return hidden.gather(1, last).squeeze(1)
        total = (hidden * weights).sum(dim=1)
        return total / (counts if self.layout.pooling == "mean" else counts.sqrt())

    def _longest(self) -> int:
        positions = getattr(self._model.config, "max_position_embeddings", None) or _LONGEST
        return int(min(self._tokenizer.model_max_length, positions, _LONGEST))


def _load_dense(dense: Dense) -> torch.nn.Module:
    if dense.activation not in _ACTIVATIONS:
        raise ModelError(
            f"{dense.folder}: the activation {dense.activation!r} cannot be used", "choose another embedder"
        )
    weights = load_file(dense.folder / "model.safetensors")
    matrix = weights["linear.weight"]
    layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias="linear.bias" in weights)
    layer.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    return torch.nn.Sequential(layer, _ACTIVATIONS[dense.activation]())
