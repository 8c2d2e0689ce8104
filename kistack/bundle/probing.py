"""Probing a project: the sample is put to the untouched base model in workers, scored, and kept."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from kistack.composition.pipeline import Pipeline, System
from kistack.domain.artifacts import ANSWERS_FILE, Artifact
from kistack.domain.prompt import PromptTemplate
from kistack.errors import InputError, StepFailed
from kistack.evaluation.probe_nodes import probe_pipeline, retriever_of, seconds_of
from kistack.evaluation.probe_sample import Questions, bare_questions, found, gold_questions, sampled
from kistack.evaluation.probes import Probe, Share, grounds_of, keep, stored, without_probe
from kistack.evaluation.scoring import read_system
from kistack.evaluation.statistics import mean_with_interval
from kistack.execution.runner import Execution, execute
from kistack.plugins.builtins import read_jsonl
from kistack.profiling.corpus import load_corpus
from kistack.profiling.pairs import Pair
from kistack.profiling.splits import load_pairs
from kistack.storage.files import remove
from kistack.units import format_duration

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.domain.records import SystemScore
    from kistack.execution.events import Event


def probe(
    place: Workspace, pairs: int, *, notify: Callable[[str], None], on_event: Callable[[Event], None] | None = None
) -> Probe:
    """Probe a project; see ``Workspace.probe``."""
    if pairs < 1:
        raise InputError(f"{pairs} pairs cannot be asked", "ask at least one: --probe-pairs 40")
    sample, available = _sample(place, pairs)
    profile = without_probe(place.profile())
    retriever, no_index = retriever_of(profile, place.host)
    grounds = grounds_of(profile, place.host, retriever)
    earlier = stored(place.project.probes, grounds)
    if earlier is not None and earlier.pairs >= len(sample):
        notify(f"the probe of {earlier.made} stands: {earlier.pairs} pairs were asked, and nothing has changed since")
        return earlier
    template = place.scenario.template
    bare = bare_questions(sample, template)
    gold, no_gold = _gold(place, sample, template)
    shown = gold.type if gold is not None else None
    pipeline = probe_pipeline(profile, place.host, retriever, bare.type, shown, calibration=place.calibration())
    _foretell(place, pipeline, len(sample), available, notify)
    execution = _execute(place, pipeline, {q.type.identity: q for q in (bare, gold) if q is not None}, on_event)
    missing = {"gold_passage": no_gold} if gold is None else {}
    if "retrieved" not in pipeline.systems:
        missing |= dict.fromkeys(("retrieved", "recall"), no_index)
    made = Probe(
        shares=_shares(pipeline, execution, grounds["metric"]),
        pairs=len(sample),
        available=available,
        metric=grounds["metric"],
        base=profile.text("model.reference"),
        retriever=retriever.use if retriever is not None else "",
        grounds=grounds,
        missing=missing,
        made=dt.datetime.now(dt.UTC).date().isoformat(),
        seconds=execution.seconds,
    )
    keep(place.project.probes, made)
    return made


def _sample(place: Workspace, pairs: int) -> tuple[tuple[Pair, ...], int]:
    split = load_pairs(place.scenario)
    if not split.train:
        why = "every pair is held out" if split.test else "the scenario names no labelled pairs"
        raise InputError(f"nothing can be probed: {why}", "name question-answer pairs under knowledge.pairs")
    return sampled(split.train, pairs), len(split.train)


def _gold(place: Workspace, sample: tuple[Pair, ...], template: PromptTemplate) -> tuple[Questions | None, str]:
    """The questions with their gold passages, or why there are none."""
    if not place.scenario.knowledge.corpus:
        return None, "the scenario names no documents"
    if not any(p.gold for p in sample):
        return None, "no sampled pair names the documents that hold its answer (gold)"
    questions = gold_questions(sample, load_corpus(place.scenario), template)
    return questions, "" if questions is not None else "no gold id of a sampled pair is a document's"


def _foretell(place: Workspace, pipeline: Pipeline, count: int, available: int, notify: Callable[[str], None]) -> None:
    seconds = seconds_of(pipeline, place.cached(pipeline))
    ways = {"closed_book": "without documents", "gold_passage": "with the gold passage", "retrieved": "with retrieval"}
    how = ", ".join(ways[name] for name in pipeline.systems)
    notify(f"probing {count} of {available} training pairs, {how}: about {format_duration(seconds, 2)}")


def _execute(
    place: Workspace,
    pipeline: Pipeline,
    questions: Mapping[str, Questions],
    on_event: Callable[[Event], None] | None,
) -> Execution:
    """Run the nodes. The folder of a probe that ended well is not kept: its answers are in the store.

    Raises:
        KistackError: a step that all depends on failed, or it was stopped; what was finished is kept.
    """
    given: dict[str, Artifact] = place.inputs(pipeline, {i: q.write for i, q in questions.items()})
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
    folder = place.project.probes / f"probe-{stamp}-{secrets.token_hex(2)}"
    execution = execute(pipeline, place.store, given, folder, hooks=place.host, on_event=on_event).require()
    remove(folder)
    return execution


def _shares(pipeline: Pipeline, execution: Execution, metric: str) -> dict[str, Share]:
    """The metric of every system, and the recall of what was retrieved."""
    shares = {name: _share(execution, system, metric) for name, system in pipeline.systems.items()}
    if (system := pipeline.systems.get("retrieved")) is not None:
        rows = read_jsonl(_artifact(execution, system).path / ANSWERS_FILE)
        hits = [float(found(row)) for row in rows]
        shares["recall"] = Share(*mean_with_interval(hits), len(hits))
    return shares


def _share(execution: Execution, system: System, metric: str) -> Share:
    """The scenario's metric of one system.

    Raises:
        StepFailed: its answers or their score could not be had.
        InputError: the metric is no share of items.
    """
    answers = _artifact(execution, system)
    made = [execution.artifacts.get(f"{ref.node}/{ref.out}") for ref in system.scores.values()]
    score: SystemScore = read_system(system.name, [a for a in made if a is not None], answers)
    values = score.items.get(metric)
    if values is None or metric not in score.metrics:
        errors = [s.error for s in execution.steps if s.error and s.key in {r.node for r in system.scores.values()}]
        known = ", ".join(sorted(score.items)) or "nothing"
        why = score.unavailable.get(metric) or next(iter(errors), f"what is installed gives {known} per answer")
        raise StepFailed(f"the probe has no {metric}: {why}", "name another metric under task.metric")
    if not all(0 <= v <= 1 for v in values):
        raise InputError(f"a probe measures shares, and {metric} is none", "name another metric under task.metric")
    total = score.metrics[metric]
    return Share(total.value, total.low, total.high, len(values))


def _artifact(execution: Execution, system: System) -> Artifact:
    """The answers of a system.

    Raises:
        StepFailed: there are none.
    """
    assert system.answers is not None
    made = execution.artifacts.get(f"{system.answers.node}/{system.answers.out}")
    if made is None:
        failed = next((s for s in execution.steps if s.error), None)
        why = f"{failed.use}: {failed.error}" if failed is not None else "its answers are missing"
        raise StepFailed(f"the probe could not ask {system.name}: {why}", "mend that: what is done is kept")
    return made
