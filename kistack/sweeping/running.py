"""Running a sweep: one combination after another, each step once, within a budget, to be gone on with after any end."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kistack.advisor.limits import bounds
from kistack.bundle.archive import RECORD_FILE
from kistack.composition.pipeline import Pipeline
from kistack.composition.starting import given_types
from kistack.domain.artifacts import Artifact
from kistack.domain.plan import Plan
from kistack.domain.records import RunRecord
from kistack.errors import Cancelled, InputError, KistackError, StoreError
from kistack.storage.files import read_json
from kistack.sweeping.measuring import measured_row, systems_beside, works
from kistack.sweeping.notebook import Notebook
from kistack.sweeping.ordering import RULE, in_order, remaining
from kistack.sweeping.rows import FINAL, Combination, Row, Sweep
from kistack.sweeping.selection import Request, select
from kistack.sweeping.summary import sweep_document
from kistack.units import format_duration

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.execution.events import Event

_MODELS = ("model", "teacher", "embedder")


@dataclass(frozen=True)
class Running:
    """How a sweep is to be run.

    ``budget`` is the wall clock in seconds that its rows may cost in all, over as many calls as it takes.
    ``over_limits`` runs what is expected to exceed a limit. ``retry`` runs failed combinations again. ``fresh`` begins
    a new sweep although one of the same request is there; steps that are made are used all the same. ``sweep`` is the
    id of the one to go on with, where it is known.
    """

    budget: float | None = None
    over_limits: bool = False
    retry: bool = False
    fresh: bool = False
    sweep: str = ""
    on_event: Callable[[Event], None] | None = None
    notify: Callable[[str], None] = print


def run_sweep(place: Workspace, request: Request, how: Running) -> Sweep:
    """Run what is not measured yet of the sweep that a request means; see ``kistack.sweep``."""
    if how.budget is not None and how.budget <= 0:
        raise InputError("a budget of no time measures nothing", "give for instance --budget 45m")
    book = opened(place, request, how)
    with book.locked():
        if not book.decided:
            how.notify("choosing the combinations …")
            _decide(place, request, book)
        _Sweeping(place, book, how).run()
        found = finished(book, how.budget)
        document = sweep_document(found)
        book.keep_result(document)
        place.project.ledger().keep_study(found.sweep, "sweep", found.status, found.started, document)
    return found


def finished(book: Notebook, budget: float | None = None) -> Sweep:
    """The sweep as it stands, with its status."""
    found = book.read()
    waiting = [c.name for c in found.combinations if c.name not in found.rows or found.rows[c.name].status not in FINAL]
    status = "unfinished" if waiting else "done"
    return replace(found, status="budget" if waiting and budget is not None else status)


def opened(place: Workspace, request: Request, how: Running) -> Notebook:
    """The notebook of the sweep to go on with, or a new one."""
    if how.sweep:
        return Notebook(place.project.work / "sweeps" / how.sweep)
    known = None if how.fresh else Notebook.matching(place.project, _identity(place, request))
    return known or Notebook.new(place.project)


def _identity(place: Workspace, request: Request) -> dict[str, Any]:
    """What makes a sweep the same one: what was asked for, and the data and models that it is about."""
    profile = place.profile()
    return {
        **request.to_json(),
        "inputs": {slot: found.identity for slot, found in sorted(given_types(profile).items())},
        "models": {m: profile.text(f"{m}.identity") or profile.text(f"{m}.reference") for m in _MODELS},
        "metric": place.scenario.task.metric,
    }


def _decide(place: Workspace, request: Request, book: Notebook) -> None:
    chosen, notes = select(place, request)
    allowed = bounds(place.scenario, place.profile())
    limits = {
        "memory": allowed.memory,
        "disk": allowed.disk,
        "latency_p95": allowed.latency,
        "training_time": allowed.training,
    }
    profile = place.profile()
    book.decide(
        {
            "started": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "request": _identity(place, request),
            "metric": place.scenario.task.metric,
            "rule": RULE,
            "notes": notes,
            "limits": {name: value for name, value in limits.items() if value != float("inf")},
            "serves_here": profile.text("serving.fingerprint") == profile.text("hardware.fingerprint"),
            "combinations": [asdict(c) for c in in_order(chosen)],
        }
    )


class _Sweeping:
    """One call: the combinations that are waiting, one by one."""

    def __init__(self, place: Workspace, book: Notebook, how: Running) -> None:
        self.place, self.book, self.how = place, book, how
        self.sweep = book.read()
        self.rows = dict(self.sweep.rows)
        self.deadline = float("inf")
        self.made: set[str] = set()
        #: Wall clock per predicted second so far: what is left of a budget is judged by it.
        self.pace = 1.0

    def run(self) -> None:
        """Every combination that has no final row."""
        began = time.monotonic()
        total = len(self.sweep.combinations)
        before = sum(row.spent for row in self.rows.values())
        if self.how.budget is not None:
            self.deadline = began + self.how.budget - before
        for kept in self.rows.values():
            self.made.update(w.key for w in kept.work if w.status in {"done", "reused"})
        for number, one in enumerate(self.sweep.combinations):
            row = self.rows.get(one.name)
            if row is not None and row.status in FINAL and not self._again(row):
                continue
            expected = remaining(one, self.made)
            if not self._fits(expected):
                continue
            self.how.notify(f"[{number + 1}/{total}] {one.name}: about {format_duration(expected * self.pace, 2)}")
            self._keep(number, one, self._row(number, one))

    def _again(self, row: Row) -> bool:
        """Whether a finished row is to be tried once more."""
        return (self.how.retry and row.status == "failed") or (self.how.over_limits and row.status == "refused")

    def _fits(self, expected: float) -> bool:
        """Whether a combination is expected to end within what is left; a shorter one further on may."""
        return time.monotonic() + expected * self.pace <= self.deadline

    def _keep(self, number: int, one: Combination, row: Row) -> None:
        earlier = self.rows.get(one.name)
        if earlier is not None:
            row = replace(row, spent=row.spent + earlier.spent)
        self.book.keep(number, row)
        self.rows[one.name] = row
        expected = remaining(one, self.made)
        if row.done and row.spent > 1:
            self.pace = 0.5 * (self.pace + min(10.0, max(0.1, row.spent / expected)))
        self.made.update(w.key for w in row.work if w.status in {"done", "reused"})
        self.how.notify(f"    {one.name}: {row.status}" + (f": {row.error}" if row.error else ""))

    def _row(self, number: int, one: Combination) -> Row:
        """Measure one combination; what goes wrong with it is in its row.

        Raises:
            Cancelled: the sweep was stopped.
            StoreError: nothing can be kept, so going on would lose what is made.
        """
        if one.problem:
            return Row(one.name, "impossible", error=one.problem)
        if one.refused and not self.how.over_limits:
            return Row(one.name, "refused", error="; ".join(one.refused))
        began = time.monotonic()
        run_dir = self.place.project.runs / f"{self.book.sweep}-{number + 1:02d}"
        pipeline: Pipeline | None = None
        try:
            pipeline = self.place.compose(Plan.model_validate(one.plan), where=one.name)
            if (known := self._known_failure(pipeline)) and not self.how.retry:
                return Row(one.name, "failed", error=known)
            record = self._recovered(run_dir) or self._run(pipeline, run_dir)
            return self._measured(one, pipeline, record, began)
        except (Cancelled, StoreError) as error:
            if not isinstance(error, Cancelled) or time.monotonic() < self.deadline:
                raise
            status, why = "cut", "the budget ended"
        except KistackError as error:
            status, why = "failed", error.message
        done = () if pipeline is None else works(pipeline, self._read(run_dir))
        return Row(one.name, status, run_dir.name, why, time.monotonic() - began, work=done)

    def _measured(self, one: Combination, pipeline: Pipeline, record: RunRecord, began: float) -> Row:
        row = measured_row(one.name, pipeline, record, self._answers, self.sweep.metric)
        beside = systems_beside(record, self.sweep.metric)
        return replace(row, beside=beside, spent=max(time.monotonic() - began, 0.0))

    def _answers(self, digest: str) -> Artifact:
        return self.place.store.artifact(digest)

    def _run(self, pipeline: Pipeline, run_dir: Path) -> RunRecord:
        return self.place.run(
            pipeline,
            run_dir=run_dir,
            on_event=self.how.on_event,
            over_limits=True,
            cancelled=lambda: time.monotonic() > self.deadline,
        )

    def _known_failure(self, pipeline: Pipeline) -> str:
        """What is wrong with a step that failed in an earlier combination: it would fail again, and take its time."""
        failed = {
            w.key: f"{w.error} (as in {name})"
            for name, row in self.rows.items()
            if row.status == "failed"
            for w in row.work
            if w.status == "failed" and w.purpose != "evaluation"
        }
        return next((failed[n.key] for n in pipeline.nodes if n.key in failed), "")

    def _read(self, run_dir: Path) -> RunRecord | None:
        document = read_json(run_dir / RECORD_FILE)
        try:
            return None if document is None else RunRecord.from_json(document)
        except (KeyError, TypeError, ValueError):
            return None

    def _recovered(self, run_dir: Path) -> RunRecord | None:
        """The record of a run that was finished before its row could be kept; the ledger gets it if it lacks it."""
        record = self._read(run_dir)
        if record is None or record.status != "done" or not Path(record.bundle).is_dir():
            return None
        ledger = self.place.project.ledger()
        try:
            ledger.run(record.run)
        except InputError:
            ledger.append(record)
        return record
