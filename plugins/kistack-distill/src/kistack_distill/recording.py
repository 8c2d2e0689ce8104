"""Recording a teacher. Heavy: imported only inside ``run``."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from kistack_torch.batching import Example, MicroBatch, micro_batches, padded_ids, target_rows
from kistack_torch.devices import choose_device, choose_dtype, set_deterministic
from kistack_torch.examples import encode_pairs, read_pairs, uses_passages
from kistack_torch.folders import folder_bytes, weights_digest
from kistack_torch.losses import tail_logsumexp, top_k
from kistack_torch.models import encode_pair, load_model, load_tokenizer
from kistack_torch.splitting import SplitModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kistack.errors import StepFailed
from kistack.plugins.stages import Context
from kistack_distill.records import NAMES, write_signals
from kistack_distill.settings import TopKSettings

#: Micro-batches whose signals are kept together on disk, so that a killed recording goes on after them.
_STRETCH = 8


def record(settings: TopKSettings, ctx: Context) -> dict[str, float]:
    """Read all pairs with the teacher and write what it says; returns the facts of the signals.

    Raises:
        DataError: pairs that cannot be read, or most of them too long.
        ModelError: a teacher that cannot be loaded.
        StepFailed: the teacher's logits are no numbers.
    """
    teacher = ctx.input("teacher")
    set_deterministic(0)
    device = choose_device()
    dtype, reason = choose_dtype(device, settings.dtype)
    tokenizer = load_tokenizer(teacher.path)
    pairs = read_pairs(ctx.input("pairs").path)
    shown = uses_passages(pairs, settings.passages)
    examples, left_out = encode_pairs(
        pairs, partial(encode_pair, tokenizer), with_passages=shown, max_length=settings.max_length
    )
    model = SplitModel(load_model(teacher.path, dtype=dtype, device=device))
    lengths = [len(e) for e in examples]
    batches = micro_batches(range(len(examples)), lengths, settings.batch_tokens)
    known = [settings.model_dump(mode="json"), weights_digest(teacher.path), [(e.ids, e.prompt) for e in examples]]
    fingerprint = hashlib.sha256(json.dumps(known).encode()).hexdigest()
    ctx.log(f"{len(examples)} pairs {'with' if shown else 'without'} passages, {left_out} left out; {reason}")
    assert tokenizer.pad_token_id is not None
    recorder = _Recorder(model, examples, settings, int(tokenizer.pad_token_id))
    total, done, started = sum(lengths), 0, time.monotonic()
    parts: list[dict[str, torch.Tensor]] = []
    computed = 0
    for start in range(0, len(batches), _STRETCH):
        stretch = batches[start : start + _STRETCH]
        tokens = sum(lengths[i] for batch in stretch for i in batch)
        file = ctx.scratch / f"signals-{start:06d}.safetensors"
        found = _load(file, fingerprint)
        if found is None:
            found = recorder.record(stretch)
            _save(file, found, fingerprint)
            computed += tokens
        parts.append(found)
        done += tokens
        rate = computed / max(1e-9, time.monotonic() - started)
        ctx.progress(done, total, "tokens", tokens_per_second=rate)
    out = ctx.out("signals")
    ordered = [examples[i] for batch in batches for i in batch]
    tensors = {name: torch.cat([p[name] for p in parts]) for name in NAMES}
    write_signals(out, ordered, tensors, settings.temperatures, model.vocabulary)
    return {"bytes": folder_bytes(out), "count": len(examples), "tokens": total, "left_out": left_out}


class _Recorder:
    """Turns micro-batches into rows of signals."""

    def __init__(self, model: SplitModel, examples: Sequence[Example], settings: TopKSettings, pad: int) -> None:
        self._model, self._examples, self._settings, self._pad = model, examples, settings, pad
        self._k = min(settings.k, model.vocabulary)

    def record(self, batches: Sequence[MicroBatch]) -> dict[str, torch.Tensor]:
        chosen = [[self._examples[i] for i in batch] for batch in batches]
        rows = [target_rows(examples, everywhere=True)[0] for examples in chosen]
        count, temperatures = sum(map(len, rows)), self._settings.temperatures
        # Made once and filled: a small tensor kept from every stretch of logits would lie between the large ones that
        # come and go, and the memory of none of those could be used again (measured: 4.5 GB instead of 1.5).
        found = {
            "ids": torch.empty(count, self._k, dtype=torch.int32),
            "logits": torch.empty(count, self._k, dtype=torch.float16),
            "tail": torch.empty(count, len(temperatures), dtype=torch.float32),
        }
        at = 0
        for examples, positions in zip(chosen, rows, strict=True):
            self._fill(found, at, examples, positions)
            at += len(positions)
        return found

    def _fill(
        self, found: dict[str, torch.Tensor], at: int, examples: Sequence[Example], positions: Sequence[int]
    ) -> None:
        """Read one micro-batch and write its signals from row ``at`` on."""
        device = self._model.model.device
        ids = torch.tensor(padded_ids(examples, self._pad), device=device)
        for part, logits in self._model.each_chunk(ids, torch.tensor(positions, device=device)):
            relative, kept = top_k(logits, self._k)
            if not bool(torch.isfinite(relative).all()):
                raise StepFailed(
                    "signals/topk: the teacher's logits are no finite numbers",
                    "record with dtype: fp32, or use another teacher",
                )
            place = slice(at + part.start, at + part.stop)
            found["ids"][place] = kept
            found["logits"][place] = relative
            found["tail"][place] = tail_logsumexp(logits, kept, self._settings.temperatures)


def _save(path: Path, tensors: dict[str, torch.Tensor], fingerprint: str) -> None:
    making = path.with_suffix(".making")
    save_file(tensors, making, metadata={"fingerprint": fingerprint})
    making.replace(path)


def _load(path: Path, fingerprint: str) -> dict[str, torch.Tensor] | None:
    """A stretch recorded before a kill; None where there is none that belongs here."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("fingerprint") != fingerprint:
                return None
            return {name: file.get_tensor(name) for name in NAMES}
    except (OSError, SafetensorError):
        return None
