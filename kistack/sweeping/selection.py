"""Which combinations a sweep measures: all sets of the techniques as advised, named ones, or the predicted front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations as subsets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kistack.advisor.recommend import advise
from kistack.bundle.admission import over_limits
from kistack.bundle.totals import foretold
from kistack.composition.arranging import arrange, plan_of
from kistack.domain.advice import Candidate, Recommendation
from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import load_plan
from kistack.errors import InputError, KistackError
from kistack.plugins.stages import TECHNIQUES
from kistack.sweeping.rows import Combination, set_name

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

SettingsOf = Literal["each", "same"]
SMALLEST = "quantize (smallest)"


@dataclass(frozen=True, slots=True)
class Request:
    """What a sweep is asked to measure.

    ``plans`` names sets of techniques (``retrieve+tune``, ``nothing``) or plan files; empty means all sixteen sets.
    ``front`` takes the sets on the predicted Pareto front instead. ``settings``: ``each`` set as the advice would run
    it, or the ``same`` settings of a technique in all sets, those of the advised plan, so that effects are of the
    technique alone and more steps are shared. ``evaluate`` names the evaluators to run (empty: every one that fits);
    perplexity, for one, puts every model to work once more.

    Raises:
        InputError: plans and front at once, or another word for ``settings``.
    """

    plans: tuple[str, ...] = ()
    front: bool = False
    settings: SettingsOf = "each"
    evaluate: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.plans and self.front:
            raise InputError("named plans and the predicted front exclude each other", "give --plans or --front")
        if self.settings not in {"each", "same"}:
            raise InputError(f"settings cannot be {self.settings!r}", "use each or same")

    def to_json(self) -> dict[str, Any]:
        """What a sweep is recognized by."""
        named = {"plans": list(self.plans), "evaluate": list(self.evaluate)}
        return {**named, "front": self.front, "settings": self.settings}


def select(place: Workspace, request: Request) -> tuple[list[Combination], list[str]]:
    """The combinations that a request means, composed as far as they can be, and what the advice notes of all.

    Raises:
        InputError: an unknown technique or plan file, or the same plan twice.
    """
    advice = advise(place.scenario, place.profile(), place.host, calibration=place.calibration())
    chosen = _Chosen(place, advice, request.settings, _evaluators(place, request.evaluate))
    if request.plans:
        wanted = [chosen.named(text) for text in request.plans]
    elif request.front:
        names = dict.fromkeys(set_name(advice.candidates[n].plan.techniques) for n in advice.front)
        wanted = [chosen.of_set(name) for name in names]
    else:
        wanted = [chosen.of_set(set_name(s)) for n in range(len(TECHNIQUES) + 1) for s in subsets(TECHNIQUES, n)]
        wanted += chosen.smallest(wanted)
    names_seen = [c.name for c in wanted]
    twice = next((n for n in names_seen if names_seen.count(n) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is named twice", "name every plan once")
    return chosen.with_roles(wanted), list(advice.notes)


def _evaluators(place: Workspace, names: Sequence[str]) -> tuple[str, ...]:
    """The evaluators of these names, with or without their kind."""
    known = [stage.name for stage in place.host.stages_of("evaluate")]
    wanted = [name if "/" in name else f"evaluate/{name}" for name in names]
    unknown = next((name for name in wanted if name not in known), None)
    if unknown is not None:
        raise InputError(f"there is no evaluator {unknown}", f"name any of: {', '.join(known)}")
    return tuple(wanted)


class _Chosen:
    """The plans of a sweep as they are picked from one recommendation."""

    def __init__(
        self, place: Workspace, advice: Recommendation, settings: SettingsOf, evaluate: tuple[str, ...]
    ) -> None:
        self.place = place
        self.evaluate = evaluate
        self.settings = settings
        self.best = advice.best if advice.kept else None
        self.candidates = advice.candidates
        self.first: dict[str, Candidate] = {}
        for candidate in advice.candidates:
            self.first.setdefault(set_name(candidate.plan.techniques), candidate)
        self.steps = self._common_steps() if settings == "same" else {}

    def _common_steps(self) -> dict[str, Step]:
        """One step per technique: the advised plan's, else that of the best ranked candidate that has it."""
        found: dict[str, Step] = {}
        ranked = [self.best, *self.candidates] if self.best is not None else list(self.candidates)
        for candidate in ranked:
            steps = candidate.plan.steps
            if any(s.select for s in steps) or len({s.kind for s in steps}) < len(steps):
                continue
            for step in steps:
                found.setdefault(step.kind, step)
        return found

    def named(self, text: str) -> Combination:
        """One that the user named: a plan file, or techniques."""
        path = Path(text)
        if path.suffix in {".yaml", ".yml", ".json"} or path.is_file():
            return self._composed(path.stem, load_plan(path))
        name = set_name([p.strip() for p in text.split("+") if p.strip() not in {"", "nothing"}])
        if any("/" in part for part in name.split("+")):
            return self._composed(name, plan_of(name, self.place.host))
        if name not in self.first:
            plan_of(name, self.place.host)  # says what is wrong with an unknown word
        return self.of_set(name)

    def of_set(self, name: str) -> Combination:
        """The plan of a set of techniques."""
        kinds = [] if name == "nothing" else name.split("+")
        candidate = self.first.get(name)
        if self.settings == "same" and all(k in self.steps for k in kinds):
            seed = candidate.plan.seed if candidate is not None else 0
            plan = Plan(seed=seed, steps=arrange([self.steps[k] for k in kinds], self.place.host))
            return self._composed(name, plan, self._like(plan))
        if candidate is not None:
            return self._composed(name, candidate.plan, candidate)
        try:
            return self._composed(name, plan_of(name, self.place.host))
        except InputError as error:
            return Combination(name, {"schema": 1, "steps": [{"use": f"{k}/-"} for k in kinds]}, problem=error.message)

    def _like(self, plan: Plan) -> Candidate | None:
        return next((c for c in self.candidates if c.plan == plan), None)

    def smallest(self, others: Sequence[Combination]) -> list[Combination]:
        """The quantization whose bundle is smallest, where it is not among the others already."""
        only = [c for c in self.candidates if c.plan.techniques == ("quantize",) and c.estimate.cost("bytes")]
        if not only:
            return []
        least = min(only, key=lambda c: c.estimate.cost("bytes"))
        if any(_steps(c) == least.plan.to_dict()["steps"] for c in others):
            return []
        return [replace(self._composed(SMALLEST, least.plan, least), roles=("habit",))]

    def with_roles(self, wanted: Sequence[Combination]) -> list[Combination]:
        """Mark the advised plan and, of every set of the four techniques, the one that effects are computed from."""
        best = set_name(self.best.plan.techniques) if self.best is not None else ""
        advised = None
        if self.best is not None:
            exact = next((c for c in wanted if _steps(c) == self.best.plan.to_dict()["steps"]), None)
            advised = exact or next((c for c in wanted if c.name == best), None)
        seen: set[frozenset[str]] = set()
        marked = []
        for one in wanted:
            roles = list(one.roles)
            cell = frozenset(one.techniques)
            if not roles and cell <= set(TECHNIQUES) and cell not in seen:
                seen.add(cell)
                roles.append("factorial")
            if one is advised:
                roles.append("advised")
            marked.append(replace(one, roles=tuple(roles)))
        return marked

    def _composed(self, name: str, plan: Plan, candidate: Candidate | None = None) -> Combination:
        """The plan with what is expected of it; what cannot be composed says why."""
        place = self.place
        if self.evaluate:
            plan = plan.model_copy(update={"evaluate": tuple(Step(use=name) for name in self.evaluate)})
        rejected = () if candidate is None else tuple(f"{r.limit}: {r.needs}" for r in candidate.rejections)
        try:
            pipeline = place.compose(plan, where=name)
        except KistackError as error:
            return Combination(name, plan.to_dict(), rejections=rejected, problem=error.message)
        refused, slow = over_limits(pipeline, place.scenario, place.profile())
        if candidate is None:
            rejected = tuple(f"{r.limit}: {r.needs}" for r in (*refused, *slow))
        return Combination(
            name,
            plan.to_dict(),
            predicted=foretold(pipeline, place.profile(), place.calibration()).predicted,
            intervals=dict(pipeline.estimate.intervals),
            rejections=rejected,
            refused=tuple(f"{r.limit}: it needs {r.needs}, {r.allowed} allowed" for r in refused),
            seconds={n.key: n.estimate.cost("seconds") for n in pipeline.nodes},
        )


def _steps(combination: Combination) -> list[Any]:
    return list(combination.plan.get("steps", ()))
