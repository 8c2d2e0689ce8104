"""Recorded signals as files. Heavy: imported only inside ``run``.

``signals.safetensors`` holds, for all predicted tokens of all examples one below the other: ``ids`` (P, k) int32, the
teacher's likeliest tokens; ``logits`` (P, k) fp16, their logits relative to the largest; ``tail`` (P, t) fp32, the
log-sum-exp of all other logits at each recorded temperature, relative to the same. ``signals.json`` says which rows
belong to which example: a SHA-256 of its token ids, so that a student can only ever be taught the same text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kistack_torch.batching import Example
from kistack_torch.folders import weights_digest
from kistack_torch.losses import TopK, distribution
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from kistack.errors import DataError, ModelError

TENSORS, INDEX = "signals.safetensors", "signals.json"
NAMES = ("ids", "logits", "tail")
_SCHEMA = 1


def example_digest(example: Example) -> str:
    """SHA-256 of an example's token ids and of where its answer begins."""
    return hashlib.sha256(repr((example.prompt, example.ids)).encode()).hexdigest()


def write_signals(
    folder: Path,
    examples: Sequence[Example],
    tensors: Mapping[str, torch.Tensor],
    temperatures: Sequence[float],
    vocabulary: int,
) -> None:
    """Write the signals of ``examples``, whose rows lie in ``tensors`` in their order."""
    save_file({name: tensors[name].contiguous() for name in NAMES}, folder / TENSORS)
    document = {
        "schema": _SCHEMA,
        "temperatures": list(temperatures),
        "vocabulary": vocabulary,
        "examples": [{"tokens": example_digest(e), "rows": len(e) - 1} for e in examples],
    }
    (folder / INDEX).write_text(json.dumps(document, sort_keys=True) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Stretch:
    start: int
    rows: int


class Signals:
    """What a teacher said, by example.

    Raises:
        DataError: the folder holds no signals that this version can read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            document: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            if document["schema"] != _SCHEMA:
                raise DataError(f"{folder / INDEX}: schema {document['schema']}", "record the teacher again")
            self.temperatures = tuple(float(t) for t in document["temperatures"])
            self.vocabulary = int(document["vocabulary"])
            #: SHA-256 of the file of logits: names the teacher's words.
            self.digest = weights_digest(folder)
            self._places: dict[str, _Stretch] = {}
            start = 0
            for entry in document["examples"]:
                self._places[entry["tokens"]] = _Stretch(start, int(entry["rows"]))
                start += int(entry["rows"])
            file: Any = safe_open(folder / TENSORS, "pt")
            self._slices = {name: file.get_slice(name) for name in NAMES}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, ModelError) as error:
            raise DataError(f"{folder}: no signals that can be read: {error}", "record the teacher again") from error

    def check(self, examples: Sequence[Example], temperature: float, vocabulary: int) -> None:
        """Make sure that every example was recorded, at this temperature, by a teacher of this vocabulary.

        Raises:
            DataError: one was not.
        """
        if vocabulary != self.vocabulary:
            raise DataError(
                f"signals speak of a vocabulary of {self.vocabulary} tokens, the student of one of {vocabulary}",
                "distil between models that share a tokenizer",
            )
        if temperature not in self.temperatures:
            known = ", ".join(f"{t:g}" for t in self.temperatures)
            raise DataError(
                f"temperature {temperature:g} was not recorded (there are {known})",
                f"use one of them, or put a step before this one: {{use: signals/topk, with: {{temperatures: "
                f"[{temperature:g}]}}}}",
            )
        missing = sum(example_digest(e) not in self._places for e in examples)
        if missing:
            raise DataError(
                f"{missing} of {len(examples)} examples were not recorded: the signals are of other pairs, or of other "
                "prompts",
                "use the same passages and max_length in signals/topk as here",
            )

    def read(self, examples: Sequence[Example], temperature: float, *, everywhere: bool) -> TopK:
        """The teacher's distributions at the rows that ``batching.target_rows`` gives for these examples."""
        column = self.temperatures.index(temperature)
        parts: dict[str, list[torch.Tensor]] = {name: [] for name in NAMES}
        for example in examples:
            place = self._places[example_digest(example)]
            first = place.start + (0 if everywhere else example.prompt - 1)
            for name in NAMES:
                parts[name].append(self._slices[name][first : place.start + place.rows])
        held = {name: torch.cat(found) for name, found in parts.items()}
        return distribution(held["ids"], held["logits"], held["tail"][:, column], temperature)
