"""An opened model. Heavy: imported only by ``open``, in the plugin's own environment."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from kistack_torch.models import encode, load_tokenizer, render, turn_ends

from kistack.domain.prompt import Prompt
from kistack.errors import ModelError
from kistack.plugins.sessions import Completion, LogLikelihood
from kistack_openvino.settings import RuntimeSettings

#: The model gives the logits of every position that it reads at once, in fp32: so many bytes of them at most.
_LOGITS_BYTES = 256e6
_CACHES = {"int8": "u8", "fp16": "f16"}


def open_session(folder: Path, settings: RuntimeSettings) -> OpenvinoSession:
    """The session of a model folder.

    Raises:
        ModelError: the model or its tokenizer cannot be read.

    """
    from optimum.intel import OVModelForCausalLM

    config = {"PERFORMANCE_HINT": "LATENCY", "CACHE_DIR": "", "KV_CACHE_PRECISION": _CACHES[settings.cache]}
    if settings.threads:
        config["INFERENCE_NUM_THREADS"] = str(settings.threads)
    if settings.precision == "fp32":
        # Else activations are rounded to eight bits on their way into quantized matrices.
        config |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    tokenizer = load_tokenizer(folder)
    try:
        model = OVModelForCausalLM.from_pretrained(
            str(folder), export=False, local_files_only=True, trust_remote_code=False, ov_config=config, device="CPU"
        )
    except (OSError, ValueError, RuntimeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{folder}: OpenVINO cannot open it: {line}", "quantize the model anew") from error
    return OpenvinoSession(model, tokenizer, settings.batch)


class OpenvinoSession:
    """A ``kistack.plugins.sessions.ModelSession`` on OpenVINO."""

    def __init__(self, model: Any, tokenizer: Any, batch: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch = batch
        stated = getattr(model.generation_config, "eos_token_id", None)
        self._ends = turn_ends(tokenizer) | frozenset([stated] if isinstance(stated, int) else stated or ())
        self._context = int(getattr(model.config, "max_position_embeddings", 0) or 1 << 20)
        self._positions = max(16, int(_LOGITS_BYTES / 4 / model.config.vocab_size))

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Greedy answers in the order of ``prompts``; neighbours in length are answered together.

        Raises:
            ModelError: a prompt and its answer do not fit into the model's context.

        """
        rows = [self._encoded(p, max_new_tokens) for p in prompts]
        answers: dict[int, Completion] = {}
        for group in _groups([len(r) for r in rows], batch or self._batch, self._positions):
            answers.update(zip(group, self._answer([rows[i] for i in group], max_new_tokens), strict=True))
            if on_done is not None:
                on_done(len(answers))
        return [answers[i] for i in range(len(rows))]

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one greedy answer as they come; joined they are the text that ``generate`` gives."""
        tokens: list[int] = []
        told = ""
        for (token,) in self._steps([self._encoded(prompt, max_new_tokens)], max_new_tokens):
            tokens.append(token)
            # half a character shows as U+FFFD until its other tokens come
            settled = self._text(tokens).rstrip("\ufffd").rstrip()
            if len(settled) > len(told) and settled.startswith(told):
                yield settled[len(told) :]
                told = settled
            if token in self._ends:
                break
        rest = self._text(tokens)[len(told) :]
        if rest:
            yield rest

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        """For each (context, continuation) the log-likelihood of the continuation given the context, in nats.

        A text longer than the model's context is scored in windows that overlap by half.
        """
        return [self._score(*self._split(context, said)) for context, said in items]

    def logits(self, ids: Sequence[int], start: int = 0) -> torch.Tensor:
        """What the model expects after each of ``ids[start:]``: shape (len(ids) - start, vocabulary), fp32."""
        row = torch.tensor([list(ids)])
        read = self._read(row, torch.ones_like(row))
        return torch.cat([found.logits[0, max(0, start - begin) :].float() for begin, found in read])

    def close(self) -> None:
        """Free the weights; a second call does nothing."""
        self._model = None
        gc.collect()

    # --- inside

    def _encoded(self, prompt: Prompt, limit: int) -> list[int]:
        ids = encode(self._tokenizer, render(self._tokenizer, prompt))
        if len(ids) + limit > self._context:
            raise ModelError(
                f"a prompt of {len(ids)} tokens and an answer of {limit} do not fit into this model's context of "
                f"{self._context}",
                "retrieve fewer or shorter passages (top_k), or allow shorter answers",
            )
        return ids

    def _answer(self, rows: Sequence[Sequence[int]], limit: int) -> list[Completion]:
        start = time.perf_counter()
        said: list[list[int]] = [[] for _ in rows]
        first = 0.0
        for tokens in self._steps(rows, limit):
            first = first or time.perf_counter() - start
            for row, token in zip(said, tokens, strict=True):
                if not row or row[-1] not in self._ends:
                    row.append(token)
            if all(row[-1] in self._ends for row in said):
                break
        share = (time.perf_counter() - start) / len(rows)
        return [
            Completion(self._text(new), len(row), len(new), share, first) for row, new in zip(rows, said, strict=True)
        ]

    def _steps(self, rows: Sequence[Sequence[int]], limit: int) -> Iterator[list[int]]:
        """The likeliest next token of every row, ``limit`` times. Rows that have ended go on; nobody reads them."""
        longest = max(len(r) for r in rows)
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(r)) + list(r) for r in rows])
        mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows])
        [(_, found)] = deque(self._read(ids, mask), maxlen=1)
        for number in range(limit):
            if number:
                found = self._model(input_ids=ids, attention_mask=mask, past_key_values=found.past_key_values)
            ids = found.logits[:, -1].argmax(-1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
            yield [int(token) for token in ids[:, 0]]

    def _read(self, ids: torch.Tensor, mask: torch.Tensor) -> Iterator[tuple[int, Any]]:
        """What the model says of prompts; one that is read alone comes piece by piece, each with its first position."""
        length = ids.shape[1]
        width = min(length, self._positions) if len(ids) == 1 else length
        past = None
        for begin in range(0, length, width):
            end = min(begin + width, length)
            found = self._model(input_ids=ids[:, begin:end], attention_mask=mask[:, :end], past_key_values=past)
            past = found.past_key_values
            yield begin, found

    def _text(self, tokens: Sequence[int]) -> str:
        kept = [t for t in tokens if t not in self._ends]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text).strip()

    def _split(self, context: Prompt | str, said: str) -> tuple[list[int], int]:
        """(all token ids, place of the first one to score)."""
        if not isinstance(context, str):
            head = encode(self._tokenizer, render(self._tokenizer, context))
            return head + encode(self._tokenizer, said), len(head)
        bos = self._tokenizer.bos_token_id
        begin = [bos] if bos is not None and bos in self._tokenizer("")["input_ids"] else []
        if not context:
            return begin + encode(self._tokenizer, said), len(begin) + 1
        head, whole = encode(self._tokenizer, context), encode(self._tokenizer, context + said)
        if whole[: len(head)] != head:
            # a token reaches across the border: then the two are encoded apart
            whole = head + encode(self._tokenizer, said)
        return begin + whole, len(begin) + len(head)

    def _score(self, ids: list[int], first: int) -> LogLikelihood:
        count, total, place = len(ids), 0.0, first
        while place < count:
            end = min(count, max(self._context, place + self._context // 2))
            begin = max(0, end - self._context)
            total += self._sum(ids[begin:end], place - begin)
            place = end
        return LogLikelihood(total, max(0, count - first))

    def _sum(self, ids: list[int], first: int) -> float:
        """The log-probabilities of ``ids[first:]`` given all before each of them, summed."""
        row, total = torch.tensor([ids[:-1]]), 0.0
        for begin, found in self._read(row, torch.ones_like(row)):
            said = found.logits[0].float().log_softmax(-1)
            skipped = max(0, first - 1 - begin)
            wanted = torch.tensor(ids[begin + skipped + 1 : begin + len(said) + 1], dtype=torch.long)
            total += float(said[skipped:].gather(1, wanted[:, None]).double().sum())
        return total


def _groups(lengths: Sequence[int], most: int, positions: int) -> Iterator[list[int]]:
    """Places of rows to be answered together, alike in length: ``most`` at once, ``positions`` in all but for one."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if group and (len(group) == most or (len(group) + 1) * lengths[place] > positions):
            yield group
            group = []
        group.append(place)
    if group:
        yield group
