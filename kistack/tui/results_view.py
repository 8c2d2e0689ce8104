"""What a run has shown: examples won and lost, its report as a file, and which runs there are to look at."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kistack.bundle.archive import kept_run
from kistack.bundle.manifest import BUNDLE_FOLDER, MANIFEST_FILE
from kistack.domain.artifacts import ANSWERS_FILE
from kistack.domain.records import RunRecord, SystemScore
from kistack.errors import InputError, StoreError
from kistack.evaluation.scoring import LOWER_IS_BETTER, compare
from kistack.execution.detach import RunStatus
from kistack.reporting.evidence import gather
from kistack.reporting.numbers import DASH, percent, shown
from kistack.reporting.runs import difference_text
from kistack.reporting.verbs import report_run
from kistack.storage.files import storing, write_atomic
from kistack.sweeping.notebook import Notebook
from kistack.sweeping.running import finished

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.storage.project import Project
    from kistack.storage.store import Store
    from kistack.sweeping.rows import Sweep

#: Metrics by which examples are told apart, the first that has a number for each.
_BY = ("contained", "exact_match", "f1", "rouge_l", "rouge_1", "bleu")
REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class Example:
    """One question as two systems answered it: ``verdict`` is won, lost or equal, as the plan did."""

    question: str
    expected: str
    answer: str
    other: str
    score: float
    other_score: float
    verdict: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the plan answered against a baseline, by one metric."""

    system: str
    against: str
    metric: str
    told: str
    examples: tuple[Example, ...]

    def of(self, verdict: str) -> tuple[Example, ...]:
        """Examples with that verdict; all where it is empty."""
        return tuple(e for e in self.examples if verdict in {"", e.verdict})

    @property
    def counts(self) -> dict[str, int]:
        """How many were won, lost and equal."""
        return {v: len(self.of(v)) for v in ("won", "lost", "equal")}


def planned(record: RunRecord) -> str:
    """The name of what the plan delivers among a run's systems; empty where nothing was measured."""
    return next((n for n in record.systems if n.startswith("plan")), "")


def baselines(record: RunRecord) -> list[str]:
    """The names of what stands beside it."""
    return [n for n in record.systems if not n.startswith("plan")]


def compared(record: RunRecord, store: Store, against: str = "") -> Comparison:
    """The answers of a plan beside a baseline's, example by example.

    Raises:
        InputError: nothing was measured for each question.
        StoreError: the answers are no longer in the store.
    """
    name = planned(record)
    others = baselines(record)
    against = against or (others[0] if others else "")
    if not name or against not in record.systems:
        raise InputError("this run has measured no plan beside a baseline", "run a plan to its end")
    ours, theirs = record.systems[name], record.systems[against]
    metric = _metric(ours, theirs)
    told = difference_text(metric, compare(ours, theirs, metric))
    rows, other_rows = _answers(store, ours), _answers(store, theirs)
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    pairs = zip(rows, other_rows, ours.items[metric], theirs.items[metric], strict=False)
    found = [_example(row, other, a, b, sign) for row, other, a, b in pairs]
    return Comparison(name, against, metric, told, tuple(found))


def _metric(ours: SystemScore, theirs: SystemScore) -> str:
    shared = ours.items.keys() & theirs.items.keys()
    found = next((m for m in _BY if m in shared), min(shared, default=""))
    if not found:
        raise InputError("no metric of this run has a number for each question", "install an evaluator of answers")
    return found


def _answers(store: Store, system: SystemScore) -> list[dict[str, Any]]:
    path = store.path(system.answers) / ANSWERS_FILE
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the answers of {system.name} are no longer in the store ({error})", "run the same plan again"
        ) from error


def _example(row: Mapping[str, Any], other: Mapping[str, Any], score: float, beside: float, sign: float) -> Example:
    gain = sign * (score - beside)
    return Example(
        question=str(row["question"]),
        expected=" | ".join(map(str, row.get("answers", ()))),
        answer=str(row["text"]),
        other=str(other["text"]),
        score=score,
        other_score=beside,
        verdict="won" if gain > 0 else "lost" if gain < 0 else "equal",
        sources=tuple(str(p.get("text", "")) for p in row.get("passages", ())),
    )


def example_text(example: Example, against: str) -> str:
    """An example in full."""
    lines = [
        example.question,
        "",
        f"expected      {example.expected}",
        f"the plan      {example.answer}  ({example.score:.3g})",
        f"{against.ljust(13)} {example.other}  ({example.other_score:.3g})",
    ]
    if example.sources:
        lines += ["", "What it was given:", *(f"[{n}] {text}" for n, text in enumerate(example.sources, 1))]
    return "\n".join(lines)


def write_report(place: Workspace, run_dir: Path) -> Path:
    """Write a run's report into its folder as ``kistack report RUN --format html -o FILE`` does; returns the file.

    Raises:
        KistackError: the run cannot be read.
        StoreError: the folder cannot be written.
    """
    path = run_dir / REPORT_FILE
    text = report_run(gather(kept_run(run_dir), place), "html", base=run_dir)
    with storing(run_dir, "writing the report"):
        write_atomic(path, text)
    return path


def open_page(path: Path) -> bool:
    """Show a file in a browser; whether there is one that needs no terminal, which is the wizard's."""
    windowed = sys.platform in {"darwin", "win32"} or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))
    try:
        return windowed and webbrowser.open(path.absolute().as_uri())
    except (webbrowser.Error, OSError):
        return False


def last_sweep(project: Project) -> Sweep | None:
    """The last sweep of a project as it stands; None where there is none.

    Raises:
        StoreError: it cannot be read.
    """
    books = Notebook.all(project)
    return finished(books[-1]) if books else None


def bundle_of(run_dir: Path) -> Path | None:
    """The bundle that a run left."""
    folder = run_dir / BUNDLE_FOLDER
    return folder if (folder / MANIFEST_FILE).is_file() else None


def run_lines(runs: Sequence[RunStatus]) -> list[tuple[str, str]]:
    """Runs to choose from, the newest first: id and line."""
    lines = []
    for run in reversed(runs):
        now = f", {run.use} {percent(run.share)}" if run.use and run.status == "running" else ""
        took = shown(run.seconds, "s") if run.seconds else DASH
        bundle = ", bundle" if bundle_of(run.folder) is not None else ""
        lines.append((run.run, f"{run.run}  {run.status}, {run.done}/{run.total} steps{now}, {took}{bundle}"))
    return lines
