"""What is written of a run: parameters, numbers, tags and files, all under names that MLflow admits."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.bundle.archive import KeptRun
from kistack.bundle.runs import PLAN_FILE
from kistack.domain.records import RunRecord, StepRecord

#: MLflow refuses longer values; whole they are in the files beside.
_LONGEST = 500
_LONGEST_NAME = 250
_STATUS = {"done": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


@dataclass(frozen=True)
class Content:
    """One run in MLflow's words. Times are milliseconds since 1970; ``files`` are existing files of the run."""

    name: str
    status: str
    started: int
    ended: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: tuple[Path, ...]


def content_of(kept: KeptRun, scenario: str = "") -> Content:
    """All of a run that MLflow can show; ``scenario`` is its name."""
    record = kept.record
    started = _milliseconds(record.started)
    files = [kept.record_path, kept.manifest_path]
    if kept.folder is not None:
        files += [kept.folder / PLAN_FILE, kept.folder / "profile.json"]
    return Content(
        name=record.run,
        status=_STATUS.get(record.status, "FAILED"),
        started=started,
        ended=started + round(1000 * record.seconds),
        params={_name(n): _text(v) for n, v in _params(kept)},
        metrics={_name(n): float(v) for n, v in _metrics(record)},
        tags={_name(n): _text(v) for n, v in _tags(record, scenario) if v != ""},
        files=tuple(f for f in files if f is not None and f.is_file()),
    )


def _params(kept: KeptRun) -> Iterator[tuple[str, Any]]:
    plan = kept.record.plan
    for name in ("seed", "base", "deliver", "evaluate"):
        if name in plan:
            yield f"plan/{name}", plan[name]
    for number, step in enumerate(plan.get("steps", ()), 1):
        yield f"plan/{number:02}.use", step["use"]
        for name, value in step.get("with", {}).items():
            yield f"plan/{number:02}.with.{name}", value
        for name in ("from", "as", "select"):
            if step.get(name):
                yield f"plan/{number:02}.{name}", step[name]
    for name, fact in (kept.profile.facts if kept.profile is not None else {}).items():
        yield f"fact/{name}", fact.value


def _metrics(record: RunRecord) -> Iterator[tuple[str, float]]:
    yield "seconds", record.seconds
    for system, score in record.systems.items():
        for metric, found in score.metrics.items():
            yield f"{system}/{metric}", found.value
            if found.low != found.high:
                yield f"{system}/{metric}.low", found.low
                yield f"{system}/{metric}.high", found.high
    yield from _compared("expected", record)
    for number, step in enumerate(record.steps, 1):
        yield from _compared(f"steps/{number:02} {step.use}", step)


def _compared(place: str, record: RunRecord | StepRecord) -> Iterator[tuple[str, float]]:
    """Predicted, as stated before calibration, and measured, side by side."""
    for kind in ("predicted", "raw", "measured"):
        for name, value in getattr(record, kind).items():
            yield f"{place}/{name}.{kind}", value


def _tags(record: RunRecord, scenario: str) -> Iterator[tuple[str, str]]:
    yield "kistack.run", record.run
    yield "kistack.scenario", scenario
    yield "kistack.status", record.status
    yield "kistack.techniques", record.techniques
    yield "kistack.profile", record.profile
    yield "kistack.error", record.error
    for name, value in record.environment.items():
        yield f"environment.{name}", value
    for number, step in enumerate(record.steps, 1):
        yield f"steps.{number:02} {step.use}", f"{step.status}: {step.error}" if step.error else step.status
    for system, score in record.systems.items():
        for metric, why in score.unavailable.items():
            yield f"unavailable.{system}.{metric}", why


def _name(text: str) -> str:
    """A name in MLflow's alphabet: ``recall@1`` is ``recall-at-1``."""
    return re.sub(r"[^\w\-. :/]", "_", text.replace("@", "-at-"), flags=re.ASCII)[:_LONGEST_NAME]


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _milliseconds(stamp: str) -> int:
    try:
        return 1000 * calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0
