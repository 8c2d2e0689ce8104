"""Logits of a GGUF model, through the binding that gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kistack.errors import DataError, ModelError
from kistack_gguf import native

#: Tokens computed at once: the logits of all of them lie in memory together.
_CHUNK = 128


class LogitModel:
    """A GGUF model that gives the logits of any position of a text.

    ``context`` is the longest text in tokens, ``threads`` 0 takes every physical core.

    Raises:
        ModelError: the binding is missing, or llama.cpp cannot open the file.

    """

    def __init__(self, path: Path, *, context: int, threads: int = 0) -> None:
        self._llama = native.load("cyllama.llama.llama_cpp")
        self._llama.disable_logging()
        self._context_length = context
        self._cached: list[int] = []
        try:
            self._open(path, threads or native.cores())
        except (ValueError, RuntimeError, OSError) as e:
            raise ModelError(f"{path}: llama.cpp cannot open it: {e}", "export or fetch the model again") from e

    def _open(self, path: Path, threads: int) -> None:
        self._model = _model_class(self._llama)(str(path), self._llama.LlamaModelParams(), verbose=False)
        self._vocab = self._model.get_vocab()
        parameters = self._llama.LlamaContextParams()
        parameters.n_ctx = self._context_length
        parameters.n_batch = parameters.n_ubatch = _CHUNK
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = self._llama.LlamaContext(self._model, parameters, verbose=False)
        self._batch = self._llama.LlamaBatch(n_tokens=_CHUNK, embd=0, n_seq_max=1, verbose=False)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, its special tokens recognised, nothing added."""
        return [int(t) for t in self._vocab.tokenize(text, False, True)] if text else []

    def logits(self, tokens: Sequence[int], start: int) -> NDArray[np.float32]:
        """What the model expects after each of ``tokens[start:]``, shape ``(len(tokens) - start, vocabulary)``.

        Raises:
            DataError: more tokens than the context holds.

        """
        if len(tokens) > self._context_length:
            raise DataError(
                f"a text of {len(tokens)} tokens does not fit the context of {self._context_length}",
                "raise the runtime's setting `context`",
            )
        rows = [row for chunk in self._chunks(tokens, start) for row in chunk]
        return np.stack(rows) if rows else np.empty((0, self._vocab.n_vocab), np.float32)

    def _chunks(self, tokens: Sequence[int], start: int) -> Any:
        # what the last text began with is still in the cache; the first wanted position must be computed
        shared = 0
        while shared < min(len(self._cached), start, len(tokens)) and self._cached[shared] == tokens[shared]:
            shared += 1
        self._context.memory_seq_rm(0, shared, -1)
        self._cached = []
        for begin in range(shared, len(tokens), _CHUNK):
            piece = tokens[begin : begin + _CHUNK]
            self._batch.clear()
            for offset, token in enumerate(piece):
                self._batch.add(token, begin + offset, [0], begin + offset >= start)
            self._context.decode(self._batch)
            vocabulary = self._vocab.n_vocab
            yield [
                np.fromiter(self._context.get_logits_ith(offset), np.float32, vocabulary)
                for offset in range(len(piece))
                if begin + offset >= start
            ]
        self._cached = list(tokens)

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        for held in ("_batch", "_context", "_model"):
            found = self.__dict__.pop(held, None)
            if found is not None:
                found.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _model_class(llama: Any) -> Any:
    class Model(llama.LlamaModel):  # type: ignore[misc]
        # releases before 0.4 ask the model for what only its vocabulary has, and fail
        @property
        def n_vocab(self) -> int:
            return int(self.get_vocab().n_vocab)

    return Model


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Natural-log probabilities over the last axis, in float64."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
