"""An opened language model. Heavy: imported only by ``open``."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from kistack_torch.devices import free_bytes
from kistack_torch.models import encode, render, turn_ends

from kistack.domain.prompt import Prompt
from kistack.errors import ModelError
from kistack.plugins.sessions import Completion, LogLikelihood
from kistack_transformers.generation import GreedyDecoder, batches
from kistack_transformers.scoring import Scorer

#: Answers written at once unless the settings say otherwise: beyond it a CPU gains nothing (measured), a GPU little.
_ROWS = {"cpu": 16}
_ROWS_GPU = 64
#: Share of the free memory that caches and activations of a batch may take.
_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to answer: its modules, how many tokens it can hold, and why it computes as it does."""

    model: Any
    tokenizer: Any
    device: str
    context: int
    token_bytes: float
    reason: str


class TransformersSession:
    """A ``kistack.plugins.sessions.ModelSession`` on PyTorch; ``reason`` says why it computes in its number format."""

    def __init__(self, loaded: Loaded, batch: int = 0) -> None:
        self.reason = loaded.reason
        self._loaded: Any = loaded
        self._batch = batch
        self._tokenizer = loaded.tokenizer
        ends = turn_ends(loaded.tokenizer) | _stated_ends(loaded.model)
        self._ends = ends
        pad = loaded.tokenizer.pad_token_id
        self._decoder: Any = GreedyDecoder(loaded.model, ends, pad if pad is not None else 0)
        size = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._scorer: Any = Scorer(loaded.model, loaded.context, size)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Greedy answers in the order of ``prompts``.

        Raises:
            ModelError: a prompt and its answer do not fit into the model's context.

        """
        rows = [self._encoded(p, max_new_tokens) for p in prompts]
        lengths = [len(r) + max_new_tokens for r in rows]
        answers: dict[int, Completion] = {}
        for group in batches(lengths, *self._limits(batch)):
            answers.update(zip(group, self._answer([rows[i] for i in group], max_new_tokens), strict=True))
            if on_done is not None:
                on_done(len(answers))
        return [answers[i] for i in range(len(rows))]

    def _limits(self, batch: int) -> tuple[int, float]:
        """(rows, tokens after padding) of a batch: as asked for, else by what memory is free."""
        asked = batch or self._batch
        if asked:
            return asked, float("inf")
        free = free_bytes(self._loaded.device)
        return _ROWS.get(self._loaded.device, _ROWS_GPU), _SHARE * free / self._loaded.token_bytes

    def _answer(self, rows: Sequence[Sequence[int]], limit: int) -> list[Completion]:
        start = time.perf_counter()
        said: list[list[int]] = [[] for _ in rows]
        first = 0.0
        for alive, tokens in self._decoder.steps(rows, limit):
            first = first or time.perf_counter() - start
            for row, token in zip(alive, tokens, strict=True):
                # a row that ended stays in the batch where the cache cannot drop it
                if not said[row] or said[row][-1] not in self._ends:
                    said[row].append(token)
        texts = [self._text(tokens) for tokens in said]
        share = (time.perf_counter() - start) / len(rows)
        return [
            Completion(text, len(row), len(tokens), share, first)
            for text, row, tokens in zip(texts, rows, said, strict=True)
        ]

    def _encoded(self, prompt: Prompt, limit: int) -> list[int]:
        ids = encode(self._tokenizer, render(self._tokenizer, prompt))
        room = self._loaded.context - limit
        if len(ids) > room:
            raise ModelError(
                f"a prompt of {len(ids)} tokens and an answer of {limit} do not fit into this model's context of "
                f"{self._loaded.context}",
                "retrieve fewer or shorter passages (top_k), or allow shorter answers",
            )
        return ids

    def _text(self, tokens: Sequence[int]) -> str:
        kept = [t for t in tokens if t not in self._ends]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text).strip()

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one greedy answer as they come; joined they are the text that ``generate`` gives."""
        row = self._encoded(prompt, max_new_tokens)
        tokens: list[int] = []
        told = ""
        for _, (token,) in self._decoder.steps([row], max_new_tokens):
            tokens.append(token)
            # half a character shows as U+FFFD until its other tokens come
            settled = self._text(tokens).rstrip("\ufffd").rstrip()
            if len(settled) > len(told) and settled.startswith(told):
                yield settled[len(told) :]
                told = settled
        rest = self._text(tokens)[len(told) :]
        if rest:
            yield rest

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        """For each (context, continuation) the log-likelihood of the continuation given the context."""
        found: list[LogLikelihood] = self._scorer.score([self._split(c, t) for c, t in items])
        return found

    def _split(self, context: Prompt | str, text: str) -> tuple[list[int], int]:
        """(all token ids, place of the first one to score)."""
        if not isinstance(context, str):
            head = encode(self._tokenizer, render(self._tokenizer, context))
            return head + encode(self._tokenizer, text), len(head)
        begin = self._beginning()
        if not context:
            return begin + encode(self._tokenizer, text), len(begin) + 1
        head, whole = encode(self._tokenizer, context), encode(self._tokenizer, context + text)
        if whole[: len(head)] != head:
            # a token reaches across the border: then the two are encoded apart
            whole = head + encode(self._tokenizer, text)
        return begin + whole, len(begin) + len(head)

    def _beginning(self) -> list[int]:
        """The token that this model expects before any raw text, if it does."""
        bos = self._tokenizer.bos_token_id
        return [bos] if bos is not None and bos in self._tokenizer("")["input_ids"] else []

    def close(self) -> None:
        """Free the weights."""
        self._decoder = self._scorer = self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _stated_ends(model: Any) -> frozenset[int]:
    """End tokens that the model's generation config names."""
    stated = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return frozenset([stated] if isinstance(stated, int) else stated or ())
