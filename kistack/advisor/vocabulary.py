"""The facts that conditions may read, with what each can be: a condition on any other never meets a profile.

It lists what profiling produces (a test compares it with profiles) and what a candidate offers. Bounds are those of the
quantity itself, never of what is usual.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from kistack.advisor.conditions import CANDIDATE, CANDIDATE_FIELDS, SECTIONS
from kistack.domain.scenario import Task
from kistack.plugins.stages import TECHNIQUES

Kind = Literal["flag", "count", "number", "text", "names", "settings"]


@dataclass(frozen=True, slots=True)
class Known:
    """What a fact can be: a flag, a whole or real number of an interval, or a text, one of ``values`` where given.

    ``always`` says that every profile has it, so that ``has`` cannot fail.
    """

    kind: Kind
    low: float = 0.0
    high: float = math.inf
    values: tuple[str, ...] = ()
    always: bool = False


_FLAG, _COUNT, _NUMBER, _TEXT = Known("flag"), Known("count"), Known("number"), Known("text")
_SHARE = Known("number", high=1.0)
_TASKS = Known("text", values=get_args(Task.model_fields["kind"].annotation), always=True)
_ORIGINS = Known("text", values=("declared", "none", "snapshots", "git", "dates", "assumed"))

_MACHINE = {
    "cores": _COUNT, "isa": _TEXT, "platform": _TEXT, "fingerprint": _TEXT, "device": _TEXT, "busy": _FLAG,
    "ram_total": _NUMBER, "ram_free": _NUMBER, "disk_free": _NUMBER, "bandwidth": _NUMBER, "unified": _FLAG,
    "flops_fp32": _NUMBER, "flops_bf16": _NUMBER, "flops_fp16": _NUMBER, "flops_int8": _NUMBER, "price": _NUMBER,
    "gpus": _COUNT, "gpu": _TEXT, "gpu_free": _NUMBER, "gpu_total": _NUMBER, "gpu_bandwidth": _NUMBER,
    "cpu_bandwidth": _NUMBER, "cpu_flops_fp32": _NUMBER, "cpu_flops_bf16": _NUMBER,
    "gpu_flops_fp32": _NUMBER, "gpu_flops_bf16": _NUMBER, "gpu_flops_int8": _NUMBER, "price_per_hour": _NUMBER,
    "gpuN_name": _TEXT, "gpuN_total": _NUMBER, "gpuN_free": _NUMBER,
}  # fmt: skip
_MODEL = {
    "reference": _TEXT, "source": _TEXT, "format": _TEXT, "identity": _TEXT, "licence": _TEXT,
    "knowledge_cutoff": _TEXT, "cutoff": _TEXT, "precision": _TEXT, "family": _TEXT, "vocabulary": _TEXT,
    "params": _NUMBER, "bytes": _NUMBER, "layers": _COUNT, "hidden": _COUNT, "heads": _COUNT, "kv_heads": _COUNT,
    "head_dim": _COUNT, "ffn": _COUNT, "vocab": _COUNT, "context": _COUNT, "tied": _FLAG, "experts": _COUNT,
    "dimension": _COUNT,
}  # fmt: skip
_SECTIONS: dict[str, dict[str, Known]] = {
    "hardware": _MACHINE,
    "serving": _MACHINE,
    "corpus": {
        "documents": Known("count", always=True), "bytes": _NUMBER, "tokens": _COUNT, "skipped": _COUNT,
        "duplicates": _COUNT, "near_duplicates": _COUNT, "identity": _TEXT, "dated": _COUNT, "licence": _TEXT,
        "languages": _TEXT, "formats": _TEXT, "topics": _TEXT, "parts": _TEXT,
    },
    "freshness": {
        "source": _ORIGINS, "changed_per_day": _NUMBER, "changed_low": _NUMBER, "changed_high": _NUMBER,
        "half_life_days": _NUMBER, "added_per_day": _NUMBER, "removed_per_day": _NUMBER, "age_days": _NUMBER,
        "after_cutoff": _SHARE, "intervals": _TEXT,
    },
    "pairs": {
        "train": _COUNT, "test": _COUNT, "split": _TEXT, "identity": _TEXT, "train_bytes": _NUMBER,
        "test_bytes": _NUMBER, "prompt_tokens": _NUMBER, "answer_tokens": _NUMBER, "answer_words": _NUMBER,
        "question_words": _NUMBER, "leakage": _SHARE, "answers_in_corpus": _SHARE, "gold": _COUNT,
        "gold_unknown": _COUNT, "near_leakage": _SHARE, "short_answers": _SHARE, "distinct_answers": _COUNT,
        "labels": _FLAG,
    },
    "items": {"identity": _TEXT},
    "model": _MODEL,
    "teacher": {**_MODEL, "bars_training": _FLAG},
    "embedder": _MODEL,
    "scenario": {
        "task": _TASKS, "metric": Known("text", always=True), "at_least": _SHARE,
        "queries_per_day": Known("number", always=True), "concurrency": Known("count", low=1, always=True),
        "indifference": Known("number", high=100, always=True), "local_only": Known("flag", always=True),
        "horizon_days": Known("number", always=True), "erasable": Known("flag", always=True),
        "per_user_access": Known("flag", always=True), "limit_memory": _NUMBER, "limit_disk": _NUMBER,
        "limit_latency": _NUMBER, "limit_training": _NUMBER, "limit_money": _NUMBER, "refresh_days": _NUMBER,
        "retrain_days": _NUMBER,
    },
    "probe": {
        "pairs": _COUNT, "closed_book": _SHARE, "gold_passage": _SHARE, "recall": _SHARE, "retrieved": _SHARE,
        "seconds": _NUMBER,
    },
}  # fmt: skip
_CANDIDATE: dict[str, Known] = {
    "techniques": Known("names", values=TECHNIQUES, always=True),
    "stages": Known("names", always=True),
    "settings": Known("settings", always=True),
    "bits": Known("number", high=64, always=True),
    "passages": Known("count", always=True),
    "student_ratio": Known("number", high=1, always=True),
    "trains_on": Known("names", values=("corpus", "pairs"), always=True),
    "trains_on_private": Known("flag", always=True),
    "trained_with_passages": Known("flag", always=True),
}

#: A machine of several GPUs tells of each by its number.
_NUMBERED = re.compile(r"^gpu\d+_")

_PATHS: dict[tuple[str, ...], Known] = {
    (section, name): known
    for section, names in {**_SECTIONS, CANDIDATE: _CANDIDATE}.items()
    for name, known in names.items()
}
#: Every known fact by its path; ``gpuN_`` stands for the number of any GPU.
VOCABULARY: Mapping[tuple[str, ...], Known] = MappingProxyType(_PATHS)
assert set(_SECTIONS) <= set(SECTIONS)
assert set(_CANDIDATE) <= set(CANDIDATE_FIELDS)


def known(path: tuple[str, ...]) -> Known | None:
    """What is known of a fact; None for one that no profile has. Settings of a stage may be named freely."""
    if path[:2] == (CANDIDATE, "settings") and len(path) > 2:  # noqa: PLR2004 - candidate.settings.kind…
        return Known("settings")
    return VOCABULARY.get((path[0], _NUMBERED.sub("gpuN_", path[-1]))) if len(path) == 2 else None  # noqa: PLR2004


def strangers(paths: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Names of facts that no profile has, with the nearest known one or nothing."""
    found = {}
    for path in paths:
        if len(path) == 1 or known(path) is not None:
            continue
        near = [p[1] for p in VOCABULARY if p[0] == path[0]]
        close = difflib.get_close_matches(path[1], near, n=1)
        found[".".join(path)] = f"{path[0]}.{close[0]}" if close else ""
    return found
