"""Judging: composed candidates become a ranking, and again under changed facts without composing what stayed the same.

``Bench(scenario, profile, host)`` composes and reads the policies once; ``judge(profile)`` ranks all candidates, or
some, under any facts. What judging reads is kept with what it found: a candidate's features until a fact they were
made of changes, a prediction for equal features, a rule's verdict for equal facts and candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from kistack.advisor.candidates import Composed
from kistack.advisor.choice import Judged, Scale, Upkeep, queries_per_day, ranked, scale_of, upkeep_of
from kistack.advisor.composing import Compositions, Option, Present, Reads, Watch
from kistack.advisor.features import Features, features_of
from kistack.advisor.limits import Bounds, allowed, below_least, bounds, exceeded, needs, rejections, within
from kistack.advisor.placement import placement_text
from kistack.advisor.policies import Rule, load_policies, policy_paths
from kistack.advisor.privacy import Privacy
from kistack.advisor.quality import Prediction, predict
from kistack.advisor.ruling import Concern, Rulebook, Ruling, Said
from kistack.advisor.weighing import Weighed, shown_by_runs
from kistack.domain.advice import Candidate, Reason, Rejection
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
        return tuple(j for j in self.order if j.candidate.kept)

    @property
    def best(self) -> Judged | None:
        """The first feasible one; None where none is."""
        return self.order[0] if self.order and self.order[0].candidate.kept else None

    @property
    def winner(self) -> str:
        """The techniques of the best, joined by plus; empty where nothing is feasible."""
        return self.best.candidate.name if self.best is not None else ""


@dataclass(slots=True)
class _Case:
    """What is known of one composed candidate beyond its pipeline."""

    found: Composed
    reads: Reads | None = None
    features: Features | None = None
    prediction: Prediction | None = None
    concern: Concern | None = None
    placed: str = ""
    upkeep: tuple[float, Upkeep] | None = None
    needs: dict[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)
    scale: Scale | None = None
    last: _Last | None = None
    judged: Judged | None = None


@dataclass(frozen=True, slots=True)
class _Last:
    """A candidate that broke no limit, as it was weighed, with what rules and runs said of it.

    ``kind`` is the kind of points that runs spoke of.
    """

    candidate: Candidate
    said: Said
    shown: tuple[Reason, ...]
    kind: str


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
        judged = [sitting.judged(o, c) for o, c in self.compositions.at(profile, wanted, sitting.present)]
        margin = profile.number("scenario.indifference", self.scenario.indifference)
        return Judgement(tuple(ranked(judged, margin)), margin, sitting.ruling.held(), sitting.ruling.faults)

    def case(self, found: Composed) -> _Case:
        """What is known of a candidate; compositions are kept, so that their identity stands for them."""
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
        self._gpus = (given.serve.gpus, given.train.gpus)
        self._asks_plugins = bench.host.has_judges
        self._queries = queries_per_day(profile)
        self._points_kind = points_kind(profile)
        self._least = 100 * given.at_least
        self._shown: dict[tuple[str, ...], tuple[Reason, ...]] = {}

    def judged(self, option: Option, found: Composed) -> Judged:
        """One candidate with its quality, reasons and rejections."""
        if found.pipeline is None:
            why = tuple(rejections(found, self.given))
            return Judged(Candidate(found.plan, Estimate(), 0.0, 0.0, 100.0, rejections=why), option.number)
        case = self.bench.case(found)
        if self._stands(case, option):
            assert case.judged is not None
            return case.judged
        needed = case.needs.get(self._gpus)
        if needed is None:
            needed = case.needs[self._gpus] = needs(found.pipeline, self.given)
        broken = [] if within(needed, self._most) else exceeded(found.pipeline, self.given)
        features = self._features(case)
        assert case.concern is not None
        said, shown = self.ruling.of(case.concern), self._shown_by_runs(found.plan.techniques)
        if case.prediction is None:
            case.prediction = self.bench.prediction(features)
        last = case.last
        if last is not None and not broken and last.said is said and last.shown == shown:
            candidate = last.candidate
        else:
            candidate = self._weighed(case, said, shown, broken)
        if candidate.quality < self._least:
            short = below_least(candidate.high, self.given)
            if short is not None:
                candidate = candidate.with_rejections((*candidate.rejections, short))
        if case.scale is None:
            case.scale = scale_of(candidate)
        upkeep, same = self._upkeep(case, features), case.judged
        if same is not None and same.candidate is candidate and same.upkeep is upkeep and same.number == option.number:
            return same
        judged = case.judged = Judged(candidate, option.number, case.prediction, upkeep, case.scale)
        return judged

    def _stands(self, case: _Case, option: Option) -> bool:
        """Whether a candidate that broke no limit is judged as it was; said without working anything out again."""
        last, judged = case.last, case.judged
        return (
            last is not None
            and judged is not None
            and judged.candidate is last.candidate
            and judged.number == option.number
            and judged.candidate.quality >= self._least
            and case.upkeep is not None
            and case.upkeep[0] == self._queries
            and last.kind == self._points_kind
            and self._gpus in case.needs
            and within(case.needs[self._gpus], self._most)
            and case.reads is not None
            and self.present.holds(case.reads)
            and case.concern is not None
            and self.ruling.of(case.concern) is last.said
        )

    def _weighed(self, case: _Case, said: Said, shown: tuple[Reason, ...], broken: Sequence[Rejection]) -> Candidate:
        """The candidate at its quality, with what rules, runs and plugins say and all it is rejected for."""
        assert case.prediction is not None
        refused, reasons = [*broken, *said.rejections], (*said.reasons, *shown)
        candidate: Candidate = Weighed(case.found, case.prediction, reasons, refused, case.placed)
        if not self._asks_plugins:
            if not broken:
                case.last = _Last(candidate, said, shown, self._points_kind)
            return candidate
        own = self.bench.host.judge(candidate, self.profile)
        if own:
            refused += [Rejection("rule", r.because, r.rule, "leave it out") for r in own if r.strength == "forbids"]
            candidate = Weighed(case.found, case.prediction, [*reasons, *own], refused, case.placed)
        return candidate

    def _upkeep(self, case: _Case, features: Features) -> Upkeep:
        assert case.found.pipeline is not None
        if case.upkeep is None:
            case.upkeep = (self._queries, upkeep_of(self.profile, case.found.pipeline, features))
        queries, upkeep = case.upkeep
        if queries != self._queries:  # other traffic asks for nothing else anew
            answering = self._queries * case.found.pipeline.estimate.cost("latency_seconds")
            case.upkeep = (self._queries, Upkeep(answering, upkeep.refreshing, upkeep.building))
        return case.upkeep[1]

    def _features(self, case: _Case) -> Features:
        if case.features is None or case.reads is None or not self.present.holds(case.reads):
            assert case.found.pipeline is not None
            watch = Watch(self.present)
            features = features_of(watch.profile, case.found.pipeline)
            view = _view(case.found, features, Privacy(watch.profile))
            case.placed = placement_text(watch.profile, case.found.pipeline)
            case.reads, case.features = watch.reads, features
            case.prediction = case.upkeep = case.last = case.judged = None
            case.concern = Concern(self.bench.rulebook.concerned(case.found), view, repr(view))
        return case.features

    def _shown_by_runs(self, techniques: tuple[str, ...]) -> tuple[Reason, ...]:
        if techniques not in self._shown:
            self._shown[techniques] = shown_by_runs(techniques, self.bench.calibration, self._points_kind)
        return self._shown[techniques]


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
