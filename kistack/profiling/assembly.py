"""The profile of a scenario: every fact that advice, composition and reports read, each with source and reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from kistack.domain.facts import Fact, Profile, Value, assumed, declared
from kistack.domain.scenario import Scenario
from kistack.plugins.stages import Stage
from kistack.profiling.cache import Cache, Facts, default_folder, stamp
from kistack.profiling.corpus import Corpus, corpus_facts, load_corpus, part_names
from kistack.profiling.cutoffs import after_cutoff, cutoff_facts
from kistack.profiling.freshness import freshness_facts, part_rates, survey
from kistack.profiling.hardware import Refine, probe
from kistack.profiling.history import head_of
from kistack.profiling.licences import training_terms
from kistack.profiling.models import model_facts
from kistack.profiling.parts import folder_sizes, pairs_by_part, part_marks, part_sizes
from kistack.profiling.splits import load_pairs, split_facts
from kistack.profiling.targets import machine_facts

_DAY = 86_400.0


def profile(
    scenario: Scenario,
    *,
    sources: Iterable[tuple[str, Stage]],
    cache: Path | None = None,
    today: dt.date | None = None,
    refine: Refine | None = None,
    on_facts: Callable[[Facts], None] | None = None,
) -> Profile:
    """All facts that this scenario meets.

    Args:
        scenario: what the user declares.
        sources: source stages with the plugin each came from; they describe the models.
        cache: folder for what was measured (default: the user's cache folder).
        today: the date to count ages from (default: today, UTC).
        refine: adds to this machine's facts what installed profilers measure; not called where the scenario names
            other machines for both training and serving.
        on_facts: called with facts as they become known, the quickest first; all of them together are the profile's.

    Raises:
        DataError: corpus or pairs are missing, empty or wrong.
        ModelError: a model reference that no source knows or can read.
        InputError: an exported machine that cannot be read.

    """
    kept = Cache(cache or default_folder())
    today = today or dt.datetime.now(tz=dt.UTC).date()
    data = _Data(scenario, kept, today)
    facts: Facts = {}

    def found(new: Facts) -> None:
        facts.update(new)
        if on_facts is not None:
            on_facts(new)

    found(scenario_facts(scenario))
    found(data.corpus_facts())
    found(data.freshness_facts())
    found(part_marks(scenario.knowledge.corpus))
    found(data.pair_facts())
    found(model_facts(scenario, sources, kept, today))
    found(cutoff_facts(facts))
    found(data.cutoff_facts(facts.get("model.cutoff")))
    found(training_terms(facts))
    this = probe(scenario.folder, kept)
    if refine is not None and any(
        d.preset is None and d.profile is None for d in (scenario.train_on, scenario.serve_on)
    ):
        this = refine(this, kept)
    for section, name, device in (
        ("hardware", "train_on", scenario.train_on),
        ("serving", "serve_on", scenario.serve_on),
    ):
        found({f"{section}.{n}": fact for n, fact in machine_facts(device, this, name).items()})
    return Profile(facts)


class _Data:
    """The facts of documents and pairs, read from disk only where the cache does not have them."""

    def __init__(self, scenario: Scenario, cache: Cache, today: dt.date) -> None:
        self._scenario = scenario
        self._cache = cache
        self._today = today
        knowledge = scenario.knowledge
        parts = [[str(p.path), p.name, p.licence] for p in knowledge.corpus]
        self._names = part_names(knowledge.corpus)
        self._corpus_key = [scenario.task.kind, parts, stamp(p.path for p in knowledge.corpus)]

    @cached_property
    def corpus(self) -> Corpus | None:
        """The corpus; None for a task of behaviour that needs no documents and names none."""
        if self._scenario.task.kind == "behaviour" and not self._scenario.knowledge.corpus:
            return None
        return load_corpus(self._scenario)

    def corpus_facts(self) -> Facts:
        def measure() -> Facts:
            if self.corpus is None:
                return {"corpus.documents": declared(0, "the scenario names no corpus")}
            return corpus_facts(self.corpus) | part_sizes(self.corpus, self._names)

        return self._cache.facts("corpus", self._corpus_key, measure)

    def freshness_facts(self) -> Facts:
        knowledge = self._scenario.knowledge
        key = [
            self._corpus_key,
            knowledge.changes.model_dump(),
            [None if p.changes is None else p.changes.model_dump() for p in knowledge.corpus],
            str(knowledge.as_of),
            [[str(s.path), str(s.as_of), stamp([s.path])] for s in knowledge.snapshots],
            [head_of(p.path) for p in knowledge.corpus],
            self._today.isoformat(),
        ]

        def measure() -> Facts:
            if self.corpus is None:
                return {"freshness.source": declared("none", "the scenario names no corpus")}
            found = survey(self._scenario, self.corpus, self._today)
            return freshness_facts(found.overall) | part_rates(found) | folder_sizes(self.corpus, found.folders)

        return self._cache.facts("freshness", key, measure)

    def cutoff_facts(self, cutoff: Fact | None) -> Facts:
        """How much of the corpus is newer than what the base knows."""
        if cutoff is None:
            return {}

        def measure() -> Facts:
            return {} if self.corpus is None else after_cutoff(self.corpus, cutoff)

        return self._cache.facts("cutoff", [self._corpus_key, cutoff.value, cutoff.source, cutoff.why], measure)

    def pair_facts(self) -> Facts:
        knowledge, template = self._scenario.knowledge, self._scenario.template
        key = [
            self._corpus_key,
            [str(p) for p in knowledge.pairs],
            stamp(knowledge.pairs),
            knowledge.split.model_dump(),
            template.to_json(),
        ]

        def measure() -> Facts:
            split = load_pairs(self._scenario)
            facts = split_facts(split, template, self.corpus)
            return facts if self.corpus is None else facts | pairs_by_part(split.train, self.corpus, self._names)

        return self._cache.facts("pairs", key, measure)


def scenario_facts(scenario: Scenario) -> Facts:
    """The facts ``scenario.*``: declared where the scenario states them, else assumed."""
    task, traffic, limits = scenario.task, scenario.traffic, scenario.limits
    facts = {
        "task": _said(task, "kind", task.kind, "task.kind"),
        "metric": _said(task, "metric", task.metric, "task.metric"),
        "at_least": _said(task, "at_least", task.at_least, "task.at_least"),
        "queries_per_day": _said(
            traffic, "queries_per_day", traffic.queries_per_day, "traffic.queries_per_day", "1/day"
        ),
        "concurrency": _said(traffic, "concurrency", traffic.concurrency, "traffic.concurrency"),
        "indifference": _said(scenario, "indifference", scenario.indifference, "indifference", "points"),
        "local_only": _said(limits, "local_only", limits.local_only, "limits.local_only"),
        "horizon_days": _said(scenario, "horizon", scenario.horizon / _DAY, "horizon", "day"),
    }
    for fact, field, unit in (
        ("limit_memory", "memory", "B"),
        ("limit_disk", "disk", "B"),
        ("limit_latency", "latency_p95", "s"),
        ("limit_training", "training_time", "s"),
        ("limit_money", "money", "USD"),
    ):
        facts[fact] = _said(limits, field, getattr(limits, field), f"limits.{field}", unit)
    for fact, field, unstated in (
        ("refresh_days", "refresh_every", "daily where that takes less than an hour, else weekly"),
        ("retrain_days", "retrain_every", "weights stay as they are over the horizon"),
    ):
        every: float | None = getattr(scenario.upkeep, field)
        said = f"upkeep.{field}"
        stated = every is not None and declared(every / _DAY, f"{said} in the scenario", "day")
        facts[fact] = stated or assumed(None, f"{said} is not stated: {unstated}")
    for flag in ("erasable", "per_user_access"):
        parts = [p.name for p in scenario.knowledge.corpus if getattr(p, flag)]
        why = f"stated of {', '.join(parts)}" if parts else "no part of the corpus says so"
        facts[flag] = declared(value=True, why=why) if parts else assumed(value=False, why=why)
    return {f"scenario.{name}": fact for name, fact in facts.items()}


def _said(model: object, field: str, value: Value, key: str, unit: str = "") -> Fact:
    """Declared where the scenario sets ``field``, else the default."""
    if field in getattr(model, "model_fields_set", ()):
        return declared(value, f"{key} in the scenario", unit)
    return assumed(value, f"{key} is not stated: {'no limit' if value is None else 'the default'}", unit)
