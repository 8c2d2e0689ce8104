"""The runner: takes the nodes of a pipeline one by one, reuses what the store has, and has the rest made by workers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from kistack.composition.pipeline import Given, Node, Pipeline
from kistack.domain.artifacts import Artifact
from kistack.domain.records import StepRecord
from kistack.errors import Cancelled, InputError, KistackError, StepFailed
from kistack.execution.announcing import Announcer, Hooks
from kistack.execution.detach import note_process
from kistack.execution.events import (
    Event,
    LogLine,
    RunFinished,
    RunStarted,
    StepDone,
    StepFailure,
    StepReused,
    StepStarted,
)
from kistack.execution.job import Outcome
from kistack.execution.preparation import Resolver, disk_needed, file_stem, made_of, predicted, prepare_job, stated
from kistack.execution.stopping import StopSign
from kistack.execution.supervision import WORKER_LOG, Limits, Watched, Worker, supervise
from kistack.storage.files import disk_full, storing
from kistack.storage.results import StepResult
from kistack.storage.store import Store

_FREE_MARGIN = 64 << 20

Inputs = Mapping[str, tuple[Artifact, ...]]


@dataclass(frozen=True)
class Execution:
    """How a pipeline ran: ``status`` is ``done``, ``failed`` or ``cancelled``.

    ``artifacts`` are by identity (``key/output``, and the given inputs under theirs); after a failure those made so
    far. ``steps`` are in the order they ran, the failed one last. ``started`` is ISO 8601 in UTC.
    """

    run: str
    status: str
    steps: tuple[StepRecord, ...]
    artifacts: Mapping[str, Artifact]
    started: str
    seconds: float
    error: KistackError | None = None

    def require(self) -> Execution:
        """Itself, if it is done.

        Raises:
            KistackError: the error that ended it.

        """
        if self.error is not None:
            raise self.error
        return self


def execute(  # noqa: PLR0913 - keyword arguments with defaults
    pipeline: Pipeline,
    store: Store,
    given: Mapping[str, Artifact],
    run_dir: Path,
    *,
    hooks: Hooks | None = None,
    on_event: Callable[[Event], None] | None = None,
    fresh: bool = False,
    limits: Limits | None = None,
    cancelled: Callable[[], bool] | None = None,
    final: bool = True,
) -> Execution:
    """Run every node of ``pipeline`` that the store does not already have.

    A failed or cancelled run is returned, not raised: its finished steps are kept, and the same call goes on from
    there. A node that only evaluates may fail without ending the run. The run is stopped by ctrl-C, SIGTERM (in the
    main thread), a file ``cancel`` in ``run_dir``, or ``cancelled``.

    Args:
        pipeline: what to run.
        store: where results are looked up and kept.
        given: the scenario's inputs, by identity, already in the store.
        run_dir: the run's folder; its name is the run's id.
        hooks: the plugin host: finds the stages that open artifacts, and has the lifecycle hooks.
        on_event: called with every event, in this thread.
        fresh: make every step again, without its checkpoints.
        limits: when a worker is given up.
        cancelled: asked now and then whether to stop.
        final: whether the run ends here (``run_finished`` is written); false where the caller has more to do.

    Raises:
        InputError: an input is missing, or the run's folder is in use.
        StoreError: the run's folder cannot be written.

    """
    with storing(run_dir, "opening the run's folder"):
        for name in ("jobs", "logs"):
            (run_dir / name).mkdir(parents=True, exist_ok=True)
    missing = sorted(i for i in _wanted(pipeline) if i not in given or not given[i].path.exists())
    if missing:
        raise InputError(f"the run has no input {missing[0]!r}", "bring it into the store first (Store.put)")
    lock = FileLock(run_dir / "run.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"run {run_dir.name} is running already", f"watch it: kistack attach {run_dir.name}") from None
    try:
        announcer = Announcer(run_dir, hooks, on_event)
        stop = StopSign(run_dir, cancelled)
        run = _Run(pipeline, store, given, run_dir, announcer, stop, Resolver(pipeline, hooks))
        run.fresh, run.limits = fresh, limits or Limits()
        return run.execute(final=final)
    finally:
        lock.release()


def _wanted(pipeline: Pipeline) -> set[str]:
    sources = (s for node in pipeline.nodes for found in node.inputs.values() for s in found)
    return {s.type.identity for s in sources if isinstance(s, Given)}


class _Run:
    """One execution: the state that its steps share."""

    def __init__(
        self,
        pipeline: Pipeline,
        store: Store,
        given: Mapping[str, Artifact],
        run_dir: Path,
        announcer: Announcer,
        stop: StopSign,
        resolve: Resolver,
    ) -> None:
        self.pipeline, self.store, self.run_dir = pipeline, store, run_dir
        self.announcer, self.stop, self.resolve = announcer, stop, resolve
        self.fresh = False
        self.limits = Limits()
        self.artifacts: dict[str, Artifact] = dict(given)
        self.steps: list[StepRecord] = []
        self._worker: Worker | None = None
        self._warm = False
        #: Measurements that failed, and all that would have read them.
        self._spoilt: set[str] = set()

    # --- the whole

    def execute(self, *, final: bool) -> Execution:
        """Run all nodes."""
        started, clock = dt.datetime.now(dt.UTC), time.monotonic()
        run = self.run_dir.name
        pin = f"run-{run}"
        with storing(self.run_dir, "starting a run"):
            self.store.pin(pin, [*(n.key for n in self.pipeline.nodes), *(a.digest for a in self.artifacts.values())])
            note_process(self.run_dir)
        uses = tuple(n.label for n in self.pipeline.nodes)
        expected = tuple(n.estimate.cost("seconds") for n in self.pipeline.nodes)
        self.announcer.tell(RunStarted(run=run, total=len(uses), uses=uses, expected=expected))
        status, error = "done", None
        with self.stop.listening():
            try:
                for index, node in enumerate(self.pipeline.nodes, 1):
                    self._try(node, index)
            except KistackError as caught:
                status, error = "cancelled" if isinstance(caught, Cancelled) else "failed", caught
            except KeyboardInterrupt:
                status, error = "cancelled", _stopped("the run")
            finally:
                self._end_worker()
        if status == "cancelled":
            self.stop.obeyed()
        if status == "done":
            # What an unfinished run has made stays pinned for some days, so that it can go on.
            self.store.unpin(pin)
        seconds = time.monotonic() - clock
        if final:
            text, hint = ("", "") if error is None else (error.message, error.hint)
            self.announcer.tell(RunFinished(run=run, status=status, seconds=seconds, error=text, hint=hint))
        stamp = started.strftime("%Y-%m-%dT%H:%M:%SZ")
        return Execution(run, status, tuple(self.steps), self.artifacts, stamp, seconds, error)

    # --- one step

    def _try(self, node: Node, index: int) -> None:
        """One step; a measurement that fails costs its own number, not the run."""
        if not self._spoilt.isdisjoint(node.parents()):
            self._spoilt.add(node.key)
            return
        try:
            self._step(node, index)
        except KistackError as error:
            if node.purpose != "evaluation" or isinstance(error, Cancelled):
                raise
            self._spoilt.add(node.key)

    def _step(self, node: Node, index: int) -> None:
        inputs = self._inputs(node)
        try:
            if self.stop():
                raise Cancelled("the run was stopped", "the same command goes on from here")
            with self.store.lock(node.key, waiting=lambda: self._wait_for(node), cancelled=self.stop):
                found = None if self.fresh else self.store.lookup(node.key, notify=self.announcer.warn)
                if found is not None and node.outputs.keys() <= found.outputs.keys():
                    self._reuse(node, index, inputs, found)
                else:
                    self._make(node, index, inputs)
        except (KistackError, KeyboardInterrupt) as error:
            self._fail(node, inputs, error)
            raise

    def _inputs(self, node: Node) -> dict[str, tuple[Artifact, ...]]:
        return {
            port: tuple(
                self.artifacts[s.type.identity if isinstance(s, Given) else f"{s.node}/{s.out}"] for s in sources
            )
            for port, sources in node.inputs.items()
        }

    def _reuse(self, node: Node, index: int, inputs: Inputs, found: StepResult) -> None:
        self._keep(node, found)
        record = self._record(node, inputs, "reused", measured=found.measured, found=found)
        self.steps.append(record)
        self.announcer.tell(
            StepReused(
                key=node.key,
                use=node.label,
                index=index,
                total=len(self.pipeline.nodes),
                measured=found.measured,
                outputs=record.outputs,
                purpose=node.purpose,
            )
        )

    def _make(self, node: Node, index: int, inputs: Inputs) -> None:
        self.announcer.tell(
            StepStarted(
                key=node.key,
                use=node.label,
                index=index,
                total=len(self.pipeline.nodes),
                predicted=predicted(node),
                auto=node.auto,
                purpose=node.purpose,
            )
        )
        self.announcer.call("kistack_before_step", use=node.label, key=node.key)
        self._check_needs(node, inputs)
        self._check_disk(node)
        if self.fresh:
            self.store.clear_scratch(node.key)
        try:
            folders = self.store.prepare(node.key, node.outputs)
            outcome = self._work(node, index, inputs, folders)
            if outcome.error is not None:
                raise outcome.error
            made = made_of(node, inputs, self.artifacts, folders, outcome.facts)
            found = self.store.commit(
                node.key,
                made,
                stage=node.label,
                settings=node.settings.model_dump(mode="json"),
                inputs={port: tuple(a.digest for a in artifacts) for port, artifacts in inputs.items()},
                measured=outcome.measured,
            )
        finally:
            self.store.discard(node.key)
        self._keep(node, found)
        record = self._record(node, inputs, "done", measured=outcome.measured, found=found)
        self.steps.append(record)
        self.announcer.tell(StepDone(key=node.key, use=node.label, measured=outcome.measured, outputs=record.outputs))
        self.announcer.call("kistack_after_step", use=node.label, key=node.key, record=asdict(record))

    def _work(self, node: Node, index: int, inputs: Inputs, folders: Mapping[str, Path]) -> Outcome:
        stem = file_stem(node, index)
        job = prepare_job(
            node,
            inputs,
            folders,
            resolve=self.resolve,
            store=self.store,
            run_dir=self.run_dir,
            stem=stem,
            threads=self.limits.threads,
        )
        file = self.run_dir / "jobs" / f"{stem}.json"
        with storing(self.run_dir, "writing a job file"):
            job.result.unlink(missing_ok=True)
            job.write(file)
        light, python = self.resolve.is_light(node), self.resolve.interpreter(node)
        if self._worker is not None and not (light and self._warm and self._worker.interpreter == python):
            self._end_worker()
        if self._worker is None:
            self._worker = Worker(self.run_dir / "logs" / WORKER_LOG, python)
        self._warm = light
        peak = node.estimate.cost("peak_bytes")
        watched = Watched(node.label, node.plugin, file, job.result, job.log, peak)
        try:
            return supervise(self._worker, watched, self.limits, heard=self.announcer.pump, cancelled=self.stop)
        except BaseException:
            self._worker = None
            raise

    def _fail(self, node: Node, inputs: Inputs, error: BaseException) -> None:
        stopped = isinstance(error, (Cancelled, KeyboardInterrupt))
        status = "cancelled" if stopped else "failed"
        message = error.message if isinstance(error, KistackError) else "stopped"
        hint = error.hint if isinstance(error, KistackError) else ""
        self.steps.append(self._record(node, inputs, status, error=message))
        self.announcer.tell(StepFailure(key=node.key, use=node.label, error=message, hint=hint, status=status))
        self.announcer.call("kistack_step_failed", use=node.label, key=node.key, error=message)

    # --- checks

    def _check_needs(self, node: Node, inputs: Inputs) -> None:
        """Needs on what was really made: the composer could only check them on what was predicted."""
        for need in node.traits.needs:
            for artifact in inputs.get(need.port, ()) if need.port else ():
                has = artifact.facts.get(need.fact)
                if has is not None and has < need.at_least:
                    raise StepFailed(
                        f"{node.label} needs at least {need.at_least:g} ({need.fact}) at {need.port!r}, "
                        f"what was made has {has:g}",
                        need.hint or f"give it more {artifact.kind}",
                    )

    def _check_disk(self, node: Node) -> None:
        needed = disk_needed(node)
        if needed and self.store.free() < needed + _FREE_MARGIN:
            raise disk_full(self.store.root, f"about to run {node.label}", needed + _FREE_MARGIN)

    # --- talking

    def _record(
        self,
        node: Node,
        inputs: Inputs,
        status: str,
        *,
        measured: Mapping[str, float] | None = None,
        found: StepResult | None = None,
        error: str = "",
    ) -> StepRecord:
        made = {} if found is None else {name: found.outputs[name] for name in node.outputs}
        return StepRecord(
            use=node.label,
            key=node.key,
            status=status,
            plugin=node.plugin,
            auto=node.auto,
            settings=node.settings.model_dump(mode="json"),
            predicted=predicted(node),
            measured=measured or {},
            outputs={name: artifact.digest for name, artifact in made.items()},
            facts={
                f"{port}.{n}": v for port, artifacts in inputs.items() for a in artifacts for n, v in a.facts.items()
            },
            deterministic=node.traits.deterministic,
            error=error,
            version=node.stage.version,
            results={f"{name}.{n}": v for name, artifact in made.items() for n, v in artifact.facts.items()},
            raw=stated(node),
            work=node.work,
        )

    def _keep(self, node: Node, found: StepResult) -> None:
        for name, virtual in node.outputs.items():
            # How it is opened is the plan's to say: settings that matter only then are not in the key.
            self.artifacts[f"{node.key}/{name}"] = replace(found.outputs[name], opener=virtual.opener)

    def _wait_for(self, node: Node) -> None:
        self.announcer.tell(
            LogLine(key=node.key, message=f"{node.label}: waiting for another run that makes the same step")
        )

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.close(self.limits.grace_seconds)
            self._worker = None


def _stopped(what: str) -> Cancelled:
    return Cancelled(f"{what} was stopped", "the same command goes on from here")
