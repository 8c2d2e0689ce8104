"""What it makes is what it says, what it costs is near what it said, and what goes wrong is told."""

from __future__ import annotations

import json
import math
from pathlib import Path

from kistack.domain.artifacts import Artifact
from kistack.errors import KistackError, StepFailed
from kistack.evaluation.scoring import SCORES_FILE
from kistack.plugins.builtins import read_jsonl
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.specimens import ROW_FILES
from kistack.testing.subject import Subject

#: How far measured numbers may be from the estimate, and what is always allowed: imports, a busy machine, small files.
FACTORS = {"seconds": 4.0, "peak_bytes": 2.0, "bytes": 1.5}
_SLACK = {"seconds": 20.0, "peak_bytes": 256e6, "bytes": 65536.0}
_UNITS = {"seconds": "s", "peak_bytes": "B of memory", "bytes": "B of output"}
_PRECISIONS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_FIELDS = {
    "corpus": ("id", "text"),
    "pairs": ("id", "question", "answers"),
    "items": ("id", "question", "answers"),
    "answers": ("id", "question", "answers", "text"),
}


@check("makes-what-it-says", "leaves artifacts of the kind and format that its traits name")
def makes_what_it_says(subject: Subject) -> None:
    """The files of every output are looked at: rows of a corpus or of pairs, a model's config and weights, scores.

    Formats that kistack does not know must hold at least one file that is not empty.
    """
    for name, artifact in subject.made.items():
        fault = fault_of(artifact)
        if fault:
            raise Fault(
                f"{name} is to be {artifact.kind} ({artifact.format}), but {fault}", "write what the traits say"
            )


def fault_of(artifact: Artifact) -> str:
    """Why a folder is not what its artifact says; empty where it is, or where nobody can tell."""
    if artifact.kind in _FIELDS and artifact.format == "jsonl":
        return _rows_fault(artifact, ROW_FILES[artifact.kind], _FIELDS[artifact.kind])
    if artifact.kind in {"model", "embedder"} and artifact.format in {"hf", "sentence-transformers", "hf+peft"}:
        return _weights_fault(artifact)
    if artifact.format == "gguf":
        [first, *_] = [*sorted(artifact.path.glob("*.gguf")), Path()]
        return "" if first.is_file() and first.read_bytes().startswith(b"GGUF") else "no GGUF file lies there"
    if artifact.kind == "scores":
        return "" if (artifact.path / SCORES_FILE).is_file() else f"{SCORES_FILE} is missing"
    return (
        "" if any(f.stat().st_size for f in artifact.path.rglob("*") if f.is_file()) else "no file there holds anything"
    )


def _rows_fault(artifact: Artifact, file: str, fields: tuple[str, ...]) -> str:  # noqa: PLR0911 - one a fault
    if not (artifact.path / file).is_file():
        return f"{file} is missing"
    try:
        rows = list(read_jsonl(artifact.path / file))
    except ValueError as error:
        return f"{file} cannot be read: {error}"
    for number, row in enumerate(rows, 1):
        missing = [f for f in fields if f not in row]
        if missing:
            return f"{file}:{number} has no {missing[0]}"
    if "count" in artifact.facts and artifact.facts["count"] != len(rows):
        return f"{file} has {len(rows)} rows where the facts say {artifact.facts['count']:g}"
    with_them = [bool(row.get("passages")) for row in rows]
    if artifact.facets.get("passages") == "with" and not any(with_them):
        return "no row carries passages"
    if artifact.facets.get("passages") == "without" and any(with_them):
        return "rows carry passages"
    return ""


def _weights_fault(artifact: Artifact) -> str:
    config = "adapter_config.json" if artifact.format == "hf+peft" else "config.json"
    if not (artifact.path / config).is_file():
        return f"{config} is missing"
    files = sorted(artifact.path.glob("*.safetensors"))
    if not files:
        return "no safetensors lie there"
    for file in files:
        fault = tensors_fault(file, artifact.facets.get("precision", "") if artifact.format == "hf" else "")
        if fault:
            return f"{file.name}: {fault}"
    return ""


def tensors_fault(file: Path, precision: str) -> str:
    """What is wrong with a safetensors file: its header, weights that are no number, matrices in another precision."""
    import numpy as np

    data = file.read_bytes()
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return "its header cannot be read"
    for name, about in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + place for place in about["data_offsets"])
        if end > len(data):
            return f"{name} is cut off"
        dtype = about["dtype"]
        if dtype in {"F32", "F16"}:
            values = np.frombuffer(data[start:end], np.float32 if dtype == "F32" else np.float16)
        elif dtype == "BF16":
            values = (np.frombuffer(data[start:end], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            continue
        if not np.isfinite(values).all():
            return f"{name} holds numbers that are none (NaN or infinite)"
        if precision in _PRECISIONS.values() and len(about["shape"]) > 1 and _PRECISIONS[dtype] != precision:
            return f"{name} is {_PRECISIONS[dtype]} where the facets say {precision}"
    return ""


@check("estimate-time", "takes about the time that it estimates")
def estimate_time(subject: Subject) -> None:
    """Measured in the worker, imports included. A factor of 4 and 20 s are allowed, or what ``accuracy`` says."""
    _compare(subject, "seconds")


@check("estimate-memory", "takes about the memory that it estimates")
def estimate_memory(subject: Subject) -> None:
    """The peak of the worker's resident memory. A factor of 2 and 256 MB are allowed, or what ``accuracy`` says."""
    _compare(subject, "peak_bytes")


@check("estimate-bytes", "leaves about the bytes that it estimates")
def estimate_bytes(subject: Subject) -> None:
    """All outputs together. A factor of 1.5 and 64 kB are allowed, or what ``accuracy`` says."""
    _compare(subject, "bytes")


def _compare(subject: Subject, number: str) -> None:
    outcome = subject.done.outcome
    assert outcome is not None
    measured = outcome.measured[number]
    stated = subject.estimate.made if number == "bytes" else subject.estimate.cost(number)
    factor = float(subject.stage.accuracy.get(number, FACTORS[number]))
    low, high = stated / factor - _SLACK[number], stated * factor + _SLACK[number]
    if not low <= measured <= high:
        raise Fault(
            f"it takes {measured:.3g} {_UNITS[number]} where it estimated {stated:.3g}",
            f"mend the estimate, or declare accuracy = {{{number!r}: {_needed(measured, stated):.0f}}}",
        )


def _needed(measured: float, stated: float) -> float:
    return math.ceil(max(measured, 1e-9) / max(stated, 1e-9) if measured > stated else stated / max(measured, 1e-9))


@check("empty-input-named", "finishes on an empty input, or says in kistack's own errors what is missing")
def empty_input_named(subject: Subject) -> None:
    """Documents, pairs and answers with no row are tried, where no need in the traits keeps them away.

    A division by zero deep inside tells a user nothing; ``DataError("…", "…")`` does.
    """
    tried = {name.partition("-")[2]: t for name, t in subject.spoiled.items() if name.startswith("empty-")}
    if not tried:
        raise Skip("it reads no rows, or its needs keep empty inputs away")
    for port, one in tried.items():
        error = None if one.outcome is None else one.outcome.error
        if one.outcome is None or (error is not None and _is_foreign(subject, error)):
            raise Fault(f"with no rows at {port!r}: {one.error}", "raise DataError(what is missing, what to do)")


def _is_foreign(subject: Subject, error: KistackError) -> bool:
    """Whether the worker had to say it for the stage."""
    return isinstance(error, StepFailed) and f"{subject.label} raised " in error.message


@check("failure-told", "fails, with the names of stage and plugin or of the file, when its input is gone")
def failure_told(subject: Subject) -> None:
    """The first input that it reads by itself is replaced by an empty folder: it must fail, and say where.

    A stage that catches everything and reports success leaves an artifact that misleads everyone after it.
    """
    for name, tried in subject.spoiled.items():
        port = name.partition("-")[2]
        if name.startswith("empty-"):
            continue
        if not tried.error:
            raise Fault(f"with nothing at {port!r} it reports success", "let errors through, or raise DataError")
        named = (subject.name, str(subject.root), port)
        if tried.outcome is None or not any(n in tried.error for n in named):
            raise Fault(
                f"with nothing at {port!r} it says only: {tried.error}", "name the file or the port in the error"
            )
        return
    raise Skip("it reads no files by itself")
