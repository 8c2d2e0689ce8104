"""A project at work: its scenario, what is installed, and everything that is kept for it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from kistack.advisor.changes import WhatIf
from kistack.advisor.judging import Bench
from kistack.advisor.recommend import explained, what_if
from kistack.bundle.admission import admit
from kistack.bundle.profilers import refine
from kistack.composition.composer import compose
from kistack.composition.memo import Memo
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.artifacts import Artifact
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Fact, Profile
from kistack.domain.machine import Device
from kistack.domain.plan import Plan
from kistack.domain.records import RunRecord
from kistack.domain.scenario import Scenario, load_scenario
from kistack.errors import InputError
from kistack.evaluation.metrics import check_metric
from kistack.evaluation.probe_nodes import retriever_of
from kistack.evaluation.probes import DEFAULT_PAIRS, Probe, any_stored, grounds_of, stored, unprobed, without_probe
from kistack.plugins.host import Host, default_host
from kistack.profiling.assembly import profile
from kistack.profiling.corpus import load_corpus, write_corpus
from kistack.profiling.pairs import write_pairs
from kistack.profiling.splits import load_pairs
from kistack.storage.project import Project
from kistack.storage.store import Store
from kistack.units import UnitError

if TYPE_CHECKING:
    from kistack.execution.events import Event


def _silent(_line: str) -> None:
    """Nobody listens."""


class Workspace:
    """One project folder with its scenario. Facts, store and ledger are opened when they are first asked for.

    Args:
        scenario: what the user declares; its folder is the project's.
        host: installed stages (default: all installed plugins).
        notify: called with a line about what is going on.
    """

    def __init__(
        self, scenario: Scenario, *, host: Host | None = None, notify: Callable[[str], None] = _silent
    ) -> None:
        self.scenario = scenario
        self.project = Project(scenario.folder)
        self.host = host or default_host()
        self._notify = notify
        self._profile: Profile | None = None
        self._calibration = UNCALIBRATED
        self._memo = Memo()

    @classmethod
    def find(
        cls, folder: Path | str = ".", *, host: Host | None = None, notify: Callable[[str], None] = _silent
    ) -> Workspace:
        """The project at or above ``folder``.

        Raises:
            InputError: there is no ``kistack.yaml``.
            ScenarioError: it has mistakes.
        """
        project = Project.find(folder)
        return cls(load_scenario(project.scenario), host=host, notify=notify)

    @cached_property
    def store(self) -> Store:
        """The project's store."""
        return self.project.store()

    def targeting(self, target: str) -> Workspace:
        """The same project with another machine to serve: a preset's name, an exported file (from here), or ``this``.

        Nothing is written: the scenario's file stays as it is.

        Raises:
            InputError: neither a file nor a known machine.
        """
        try:
            device = Device.model_validate(target, context={"root": Path.cwd(), "must_exist": True})
        except ValidationError as error:
            cause = error.errors()[0].get("ctx", {}).get("error")
            hint = cause.hint if isinstance(cause, UnitError) else "name a preset or a file"
            message = cause.message if isinstance(cause, UnitError) else error.errors()[0]["msg"]
            raise InputError(f"--target {message}", hint) from error
        return Workspace(self.scenario.model_copy(update={"serve_on": device}), host=self.host, notify=self._notify)

    def restated(self, scenario: Scenario, profile: Profile | None = None) -> Workspace:
        """The same project as another scenario describes it; ``profile`` are its facts, where they are known.

        Nothing is written: the scenario's file stays as it is.
        """
        other = Workspace(scenario, host=self.host, notify=self._notify)
        other._profile = profile
        return other

    def profile(self, *, refresh: bool = False, on_facts: Callable[[dict[str, Fact]], None] | None = None) -> Profile:
        """The facts of this project; what has not changed since the last time is taken from the cache.

        A probe's shares are among them while what it rests on stands; where there is none, ``probe.pairs`` is 0 and
        says why. ``on_facts`` is called with facts as they become known.

        Raises:
            InvalidInput: no installed evaluator gives the scenario's metric.
            DataError: documents or pairs cannot be used.
            ModelError: a model cannot be found or read.
        """
        if self._profile is None or refresh:
            check_metric(self.scenario.task.metric, self.host, self.scenario)
            cache = self.project.prepare() / "cache"
            if refresh:
                from kistack.storage.files import remove

                remove(cache)
            self._profile = self._measured(self.scenario, cache, refresh=refresh, on_facts=on_facts)
            self._memo.clear()
        return self._profile

    def _probed(self, found: Profile) -> dict[str, Fact]:
        """The facts of the probe that stands for this profile, or why there is none."""
        folder = self.project.probes
        if not any_stored(folder):
            return unprobed(folder, {})
        grounds = grounds_of(found, self.host, retriever_of(found, self.host)[0])
        kept = stored(folder, grounds)
        return kept.facts() if kept is not None else unprobed(folder, grounds)

    def probe(self, pairs: int = DEFAULT_PAIRS, *, on_event: Callable[[Event], None] | None = None) -> Probe:
        """Put some training pairs to the base model without documents, with gold and with retrieved passages.

        How long it will take is told first. What it finds is kept, and used by ``profile``, ``advise`` and ``run``
        until the base model, the pairs, the documents, the retriever or the metric change; until then it is not asked
        again unless for more pairs.

        Raises:
            InputError: there are no training pairs, or the metric is no share of items.
            PlanError: there is no base model, or nothing installed opens it or scores answers.
            KistackError: a step failed or was stopped; what was finished is kept.
        """
        from kistack.bundle.probing import probe

        found = probe(self, pairs, notify=self._notify, on_event=on_event)
        self._profile = without_probe(self.profile()).updated(found.facts())
        self._memo.clear()
        return found

    def calibration(self) -> Calibration:
        """What the runs of this project say of predictions, as the last one that ended left it."""
        found = self.project.calibration()
        if found != self._calibration:
            self._calibration = found
            self._memo.clear()
        return self._calibration

    def advise(
        self, *, changes: Mapping[str, object] | None = None, what_must_change: str = "", thorough: bool = False
    ) -> Recommendation:
        """Judge every combination for this project, and look for what would flip the choice.

        Args:
            changes: keys of the scenario file and facts of the profile with other values, for a what-if.
            what_must_change: techniques (``distill``, ``retrieve+tune``, ``nothing``) to ask what must change for.
            thorough: look for flips without a bound on cost.

        Raises:
            InvalidInput: changes of unknown keys, or to values that do not fit, all at once.
            InputError: ``what_must_change`` names no techniques, or a policy cannot be used.
        """
        bench = Bench(self.scenario, self.profile(), self.host, self.calibration())
        if not changes:
            return explained(bench, target=what_must_change, thorough=thorough)
        made = WhatIf(changes, self.scenario, self.profile())
        other = Bench(made.changed, self._profile_under(made), self.host, self.calibration())
        return what_if(made, bench, other, target=what_must_change, thorough=thorough)

    def _profile_under(self, made: WhatIf) -> Profile:
        """The profile under changes; what must be measured for them is not kept."""
        profiled = self.profile()
        wanted = made.facts.get("scenario.metric")
        check_metric(str(wanted.value) if wanted else made.changed.task.metric, self.host)
        if made.changed is not self.scenario:
            with tempfile.TemporaryDirectory(prefix="kistack-") as folder:
                kept, cache = self.project.prepare() / "cache", Path(folder, "cache")
                if kept.is_dir():
                    shutil.copytree(kept, cache)
                profiled = self._measured(made.changed, cache)
        return profiled.updated(made.facts)

    def _measured(
        self,
        scenario: Scenario,
        cache: Path,
        *,
        refresh: bool = False,
        on_facts: Callable[[dict[str, Fact]], None] | None = None,
    ) -> Profile:
        """The facts of a scenario in this project, with what profilers measure and what a probe has found."""
        measure = partial(refine, self.host, refresh=refresh, notify=self._notify)
        found = profile(scenario, sources=self.host.sources(), cache=cache, refine=measure, on_facts=on_facts)
        return found.updated(self._probed(found))

    def compose(self, plan: Plan, *, where: str = "plan", evaluation: bool = True) -> Pipeline:
        """Bind a plan to the installed stages.

        Raises:
            PlanError: with every problem.
        """
        return compose(
            plan,
            self.profile(),
            self.host,
            where=where,
            evaluation=evaluation,
            memo=self._memo,
            calibration=self.calibration(),
        )

    def admit(self, pipeline: Pipeline, *, where: str = "plan") -> None:
        """Refuse a plan that is expected to exceed a limit; say what it is expected to take longer than allowed.

        Raises:
            PlanError: with every limit that it exceeds and what would admit it.
        """
        for line in admit(pipeline, self.scenario, self.profile(), where=where):
            self._notify(line)

    def cached(self, pipeline: Pipeline) -> set[str]:
        """Keys of the nodes whose results are in the store and whole."""
        return {n.key for n in pipeline.nodes if self.store.lookup(n.key) is not None}

    def inputs(
        self, pipeline: Pipeline, writers: Mapping[str, Callable[[Path], None]] | None = None
    ) -> dict[str, Artifact]:
        """The inputs that the pipeline reads, brought into the store; by identity.

        ``writers``, by identity, write those that are not the scenario's own.
        """
        writers = writers or {}
        brought: dict[str, Artifact] = {}
        for identity, found in pipeline.given.items():
            facts = {n: float(v) for n, v in found.facts.items() if n != "bytes"}
            brought[identity] = self.store.put(
                found.kind,
                found.format,
                writers.get(identity) or self._writer(found.kind),
                identity,
                facts=facts,
                facets=found.facets,
            )
        return brought

    def _writer(self, kind: str) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            if kind == "corpus":
                write_corpus(load_corpus(self.scenario), folder)
                return
            split = load_pairs(self.scenario)
            write_pairs(split.train if kind == "pairs" else split.test, folder, self.scenario.template)

        return write

    def run(
        self,
        pipeline: Pipeline,
        *,
        run_dir: Path | None = None,
        on_event: Callable[[Event], None] | None = None,
        fresh: bool = False,
        over_limits: bool = False,
        cancelled: Callable[[], bool] | None = None,
    ) -> RunRecord:
        """Run a composed plan, measure it beside the baselines, and leave a bundle.

        ``over_limits`` runs it although it is expected to exceed a limit of the scenario or of a machine. ``cancelled``
        is asked now and then whether to stop.

        Raises:
            PlanError: it is expected to exceed a limit; nothing was started.
            KistackError: the run failed or was cancelled; its record is in the ledger, finished steps are kept.
        """
        if not over_limits:
            self.admit(pipeline)
        # Deciding must not pay for what only running needs.
        from kistack.bundle.running import run

        return run(self, pipeline, run_dir=run_dir, on_event=on_event, fresh=fresh, cancelled=cancelled)
