"""Judging: composed candidates become a ranking, and again under changed facts without composing what stayed the same.

``Bench(scenario, profile, host)`` composes and reads the policies once; ``judge(profile)`` ranks all candidates, or
some, under any facts. What judging reads is kept with what it found: a candidate's features until a fact they were
made of changes, a prediction for equal features, a rule's verdict for equal facts and candidates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from kistack.advisor.candidates import Composed
from kistack.advisor.choice import Judged, Scale, Upkeep, queries_per_day, ranked, scale_of, upkeep_of
from kistack.advisor.composing import Asked, Compositions, Option, Present, Reads, Watch
from kistack.advisor.features import Features, features_of
from kistack.advisor.limits import Bounds, allowed, bounds, broken, needs, rejections, within
from kistack.advisor.placement import placement_text
from kistack.advisor.policies import Rule, load_policies, policy_paths
from kistack.advisor.privacy import Privacy
from kistack.advisor.quality import Prediction, predict
from kistack.advisor.ruling import Concern, Rulebook, Ruling, Said
from kistack.advisor.weighing import Beside, Weighed, Weight, beside, shown_by_runs
from kistack.domain.advice import Candidate, Rejection
from kistack.domain.calibration import UNCALIBRATED, Calibration, points_kind
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.domain.scenario import Scenario
from kistack.plugins.host import Host


@dataclass(frozen=True, slots=True)
class Judgement:
    """Candidates ranked under some facts: the kept ones best first, then the rejected ones by quality.

    ``held`` are the rules about the whole scenario whose conditions hold; ``faults`` maps conditions that nobody could
    evaluate to what was wrong with them.
    """

    order: tuple[Judged, ...]
    margin: float
    held: tuple[Rule, ...] = ()
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[Judged, ...]:
        """The feasible ones, best first."""
        return self.order[: bisect_left(self.order, True, key=lambda j: not j.candidate.kept)]

    @property
    def best(self) -> Judged | None:
        """The first feasible one; None where none is."""
        return self.order[0] if self.order and self.order[0].candidate.kept else None

    @property
    def winner(self) -> str:
        """The techniques of the best, joined by plus; empty where nothing is feasible."""
        return self.best.candidate.name if self.best is not None else ""


#: What of the machines decides which memory is asked, and the most of everything.
_Limits = tuple[tuple[int, bool, int], tuple[float, ...]]


@dataclass(slots=True)
class _Case:
    """What is known of one composed candidate beyond its pipeline.

    ``weight`` stands with what rules said and the kind of points that runs spoke of when it was made.
    """

    found: Composed
    reads: Reads | None = None
    features: Features | None = None
    prediction: Prediction | None = None
    concern: Concern | None = None
    placed: str = ""
    upkeep: tuple[float, Upkeep] | None = None
    needs: dict[tuple[int, bool, int], tuple[float, ...]] = field(default_factory=dict)
    scale: Scale | None = None
    weight: tuple[Weight, Said, str] | None = None
    judged: Judged | None = None
    candidate: Weighed | None = None
    #: The limits that ``candidate`` breaks, and the points asked for where it has too few of them; else nothing.
    broke: _Limits | None = None
    missed: float | None = None


@dataclass(slots=True)
class _Settled:
    """What is known of the features of all candidates together: of which, and under which facts, they were made."""

    asked: Asked = field(default_factory=Asked)
    found: Sequence[tuple[Option, Composed]] = ()
    cases: Sequence[_Case] = ()
    under: Present | None = None

    def holds(self, found: Sequence[tuple[Option, Composed]], now: Present) -> bool:
        """Whether the features of these candidates are the same under the facts of ``now``."""
        return found is self.found and self.under is not None and self.asked.stands(self.under, now)


class Bench:
    """The candidates of a scenario, composed once, judged as often as facts are changed.

    Raises:
        InputError: a policy file cannot be read or used (``InvalidInput`` lists every mistake).
    """

    def __init__(
        self, scenario: Scenario, profile: Profile, host: Host, calibration: Calibration = UNCALIBRATED
    ) -> None:
        self.calibration = calibration
        self.scenario = scenario
        self.profile = profile
        self.host = host
        self.rules = load_policies(policy_paths(scenario.policies, host.policies()))
        self.rulebook = Rulebook(self.rules)
        self.compositions = Compositions(host, calibration=calibration)
        self._predictions: dict[Features, Prediction] = {}
        self._cases: dict[int, _Case] = {}
        self.settled = _Settled()
        self._judgement: Judgement | None = None

    @property
    def predicted(self) -> int:
        """Predictions made so far: what a change of facts costs most."""
        return len(self._predictions)

    @property
    def judgement(self) -> Judgement:
        """All candidates under the scenario's own facts."""
        if self._judgement is None:
            self._judgement = self.judge(self.profile)
        return self._judgement

    def under(self, profile: Profile, scenario: Scenario | None = None) -> Bench:
        """The same bench under other facts; what is known of candidates is shared.

        ``scenario`` replaces the scenario by one that states other goals, and names the same policies.
        """
        other = copy(self)
        other.profile = profile
        other.scenario = scenario or self.scenario
        other._judgement = None  # noqa: SLF001 - a copy of its own class
        return other

    def notes(self) -> tuple[str, ...]:
        """What could not be judged at all."""
        return self.compositions.options(self.profile)[1]

    def judge(
        self,
        profile: Profile,
        given: Bounds | None = None,
        wanted: Callable[[Option], bool] | None = None,
    ) -> Judgement:
        """The candidates, or those ``wanted``, ranked under these facts.

        ``given`` are the limits (default: those of the scenario under these facts).
        """
        sitting = _Sitting(self, profile, bounds(self.scenario, profile) if given is None else given)
        found = self.compositions.at(profile, wanted, sitting.present)
        sitting.same_features = self.settled.holds(found, sitting.present)
        cases = self.settled.cases if found is self.settled.found else [self.case(c) for _, c in found]
        judged = [sitting.judged(option, case) for (option, _), case in zip(found, cases, strict=True)]
        if wanted is None:
            self.settled.found, self.settled.cases, self.settled.under = found, cases, sitting.present
        margin = profile.number("scenario.indifference", self.scenario.indifference)
        return Judgement(tuple(ranked(judged, margin)), margin, sitting.ruling.held(), sitting.ruling.faults)

    def case(self, found: Composed) -> _Case:
        """What is known of a candidate; compositions are kept, so that their identity stands for them."""
        if found.pipeline is None:  # composed anew each time
            return _Case(found)
        kept = self._cases.get(id(found))
        if kept is None or kept.found is not found:
            kept = self._cases[id(found)] = _Case(found)
        return kept

    def prediction(self, features: Features) -> Prediction:
        """Quality, worked out once for equal features."""
        known = self._predictions.get(features)
        if known is None:
            known = self._predictions[features] = predict(features)
        return known


class _Sitting:
    """One judgement: what candidates share under the same facts."""

    def __init__(self, bench: Bench, profile: Profile, given: Bounds) -> None:
        self.bench = bench
        self.profile = profile
        self.given = given
        self.present = Present(profile)
        self.ruling = Ruling(bench.rulebook, profile)
        self._most = allowed(given)
        #: What of the machines decides which memory is asked.
        self._where = (given.serve.gpus, given.serve.unified, given.train.gpus)
        self._limits = (self._where, self._most)
        self._asks_plugins = bench.host.has_judges
        self._queries = queries_per_day(profile)
        self._points_kind = points_kind(profile)
        self._least = 100 * given.at_least
        self._beside: dict[tuple[int, tuple[str, ...]], Beside] = {}
        #: Whether all candidates' features are known to be what they were.
        self.same_features = False

    def judged(self, option: Option, case: _Case) -> Judged:
        """One candidate with its quality, reasons and rejections."""
        found = case.found
        if found.pipeline is None:
            why = tuple(rejections(found, self.given))
            return Judged(Candidate(found.plan, Estimate(), 0.0, 0.0, 100.0, rejections=why), option.number)
        needed = case.needs.get(self._where)
        if needed is None:
            needed = case.needs[self._where] = needs(found.pipeline, self.given)
        features = case.features
        if features is None or not self.same_features:
            features = self._features(case)
        weight, upkeep = self._weight(case), self._upkeep(case, features)
        limits = None if within(needed, self._most) else self._limits
        # The interval is not asked for where the expectation does.
        least = self._least if weight.quality < self._least and weight.high < self._least else None
        same, candidate = case.judged, case.candidate
        if candidate is None or candidate.weight is not weight or case.broke != limits or case.missed != least:
            over = () if limits is None else broken(needed, self._most)
            candidate = case.candidate = Weighed(weight, self.given, over, least is not None)
            case.broke, case.missed = limits, least
        elif same is not None and same.upkeep is upkeep and same.number == option.number:
            return same
        if case.scale is None:
            case.scale = scale_of(candidate)
        case.judged = Judged(candidate, option.number, weight.prediction, upkeep, case.scale)
        return case.judged

    def _weight(self, case: _Case) -> Weight:
        """The candidate at its quality, with what rules, runs and plugins say of it."""
        assert case.concern is not None
        said = self.ruling.of(case.concern)
        if case.weight is not None:
            weight, before, kind = case.weight
            if before is said and kind == self._points_kind and not self._asks_plugins:
                return weight
        assert case.features is not None
        if case.prediction is None:
            case.prediction = self.bench.prediction(case.features)
        weight = Weight(case.found, case.prediction, self._said_beside(said, case.found.plan.techniques), case.placed)
        if self._asks_plugins:
            weight = self._asked(weight, case)
        case.weight = weight, said, self._points_kind
        return weight

    def _said_beside(self, said: Said, techniques: tuple[str, ...]) -> Beside:
        """What rules and runs say of candidates of these techniques, put together once."""
        key = id(said), techniques  # the rulebook keeps what it said
        known = self._beside.get(key)
        if known is None:
            shown = shown_by_runs(techniques, self.bench.calibration, self._points_kind)
            known = self._beside[key] = beside((*said.reasons, *shown), said.rejections)
        return known

    def _asked(self, weight: Weight, case: _Case) -> Weight:
        """The weight with what plugins say of the candidate as it stands without them."""
        over = broken(case.needs[self._where], self._most)
        own = self.bench.host.judge(Weighed(weight, self.given, over), self.profile)
        forbidding = [Rejection("rule", r.because, r.rule, "leave it out") for r in own if r.strength == "forbids"]
        others = weight.beside
        told = beside((*others.reasons, *own), (*others.refused, *forbidding))
        return Weight(weight.found, weight.prediction, told, weight.placed)

    def _upkeep(self, case: _Case, features: Features) -> Upkeep:
        assert case.found.pipeline is not None
        if case.upkeep is None:
            case.upkeep = (self._queries, upkeep_of(self.profile, case.found.pipeline, features))
        queries, upkeep = case.upkeep
        if queries != self._queries:  # other traffic asks for nothing else anew
            answering = self._queries * case.found.pipeline.estimate.costs.get("latency_seconds", 0.0)
            case.upkeep = (self._queries, Upkeep(answering, upkeep.refreshing, upkeep.building))
        return case.upkeep[1]

    def _features(self, case: _Case) -> Features:
        if case.features is None or case.reads is None or not self.present.holds(case.reads):
            # Whatever was known of all cases together is no longer.
            self.bench.settled.under, self.same_features = None, False
            assert case.found.pipeline is not None
            watch = Watch(self.present)
            features = features_of(watch.profile, case.found.pipeline)
            view = _view(case.found, features, Privacy(watch.profile))
            case.placed = placement_text(watch.profile, case.found.pipeline)
            case.reads, case.features = watch.reads, features
            self.bench.settled.asked.add(case.reads)
            case.prediction = case.upkeep = case.weight = None
            case.concern = Concern(self.bench.rulebook.concerned(case.found), view, repr(view))
        return case.features


def _view(found: Composed, features: Features, privacy: Privacy) -> dict[str, Any]:
    """What conditions see of a candidate; numbers are doubles."""
    assert found.pipeline is not None
    last = features.changes[-1].bits[1] if features.changes else 16.0
    ratio = 1.0
    for change in features.changes:
        ratio *= change.ratio
    return {
        "techniques": list(found.plan.techniques),
        "stages": [s.use for s in found.plan.steps],
        "settings": {s.kind: _doubles(dict(s.with_)) for s in found.plan.steps},
        "bits": last,
        "passages": features.passages,
        "student_ratio": ratio,
        "trains_on": sorted(features.trains_on),
        "trains_on_private": privacy.reaches_weights(found.pipeline),
        "trained_with_passages": any(c.with_passages for c in features.changes),
    }


def _doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _doubles(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_doubles(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
