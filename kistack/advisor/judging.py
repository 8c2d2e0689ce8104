"""Judging: composed candidates become a ranking, and again under changed facts without composing what stayed the same.

``Bench(scenario, profile, host)`` composes and reads the policies once; ``judge(profile)`` ranks all candidates, or
some, under any facts. What judging reads is kept with what it found: a candidate's features until a fact they were
made of changes, a prediction for equal features, a rule's verdict for equal facts and candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from kistack.advisor.candidates import Composed
from kistack.advisor.choice import Judged, Upkeep, ranked, upkeep_of
from kistack.advisor.composing import Compositions, Option, Present, Reads, Watch, changed_names
from kistack.advisor.conditions import CANDIDATE, Condition, Judge, Verdict
from kistack.advisor.features import Features, features_of
from kistack.advisor.limits import Bounds, below_least, bounds, rejections
from kistack.advisor.placement import placement_text
from kistack.advisor.policies import Rule, load_policies, policy_paths
from kistack.advisor.privacy import Privacy
from kistack.advisor.quality import Prediction, predict
from kistack.domain.advice import Candidate, Reason, Rejection, Strength
from kistack.domain.calibration import UNCALIBRATED, Calibration, points_kind
from kistack.domain.facts import Fact, Profile
from kistack.domain.records import Estimate
from kistack.domain.scenario import Scenario
from kistack.plugins.host import Host

#: Verdicts that are kept.
_MOST_VERDICTS = 100_000


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


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What is to be said of a candidate whatever the limits are, and which facts that rests on.

    ``verdicts`` says of each rule that concerns it whether it held, for a candidate of this ``view``. ``barred`` are
    the rejections of rules, ``faults`` the conditions among them that nobody could evaluate.
    """

    facts: Mapping[str, Fact]  # all those it was made under
    reads: Reads
    prediction: Prediction
    features: Features
    reasons: tuple[Reason, ...]
    barred: tuple[Rejection, ...]
    quality: tuple[float, float, float]
    verdicts: Mapping[str, bool]
    faults: Mapping[str, str]
    mark: str
    view: Mapping[str, Any]


@dataclass(slots=True)
class _Case:
    """What is known of one composed candidate beyond its pipeline."""

    found: Composed
    concerned: tuple[Rule, ...]
    reads: Reads | None = None
    features: Features | None = None
    view: dict[str, Any] = field(default_factory=dict)
    mark: str = ""
    #: The first that was formed, which is of the scenario's own facts, and the last.
    opinions: list[_Opinion] = field(default_factory=list)


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
        #: Rules whose conditions ask for the candidate.
        self.asking = frozenset(r.id for r in self.rules if r.when.asks_candidate)
        self.compositions = Compositions(host, calibration=calibration)
        self._predictions: dict[Features, Prediction] = {}
        self._cases: dict[int, _Case] = {}
        self._verdicts: dict[tuple[str, tuple[Any, ...], str], Verdict] = {}
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
        judged = [sitting.judged(o, c) for o, c in self.compositions.at(profile, wanted)]
        margin = profile.number("scenario.indifference", self.scenario.indifference)
        return Judgement(tuple(ranked(judged, margin)), margin, sitting.held(), sitting.faults)

    def case(self, found: Composed) -> _Case:
        """What is known of a candidate; compositions are kept, so that their identity stands for them."""
        kept = self._cases.get(id(found))
        if kept is None or kept.found is not found:
            kept = self._cases[id(found)] = _Case(found, _concerned(self.rules, found))
        return kept

    def prediction(self, features: Features) -> Prediction:
        """Quality, worked out once for equal features."""
        known = self._predictions.get(features)
        if known is None:
            known = self._predictions[features] = predict(features)
        return known

    def verdict(self, when: Condition, facts: tuple[Any, ...], mark: str, ask: Callable[[], Verdict]) -> Verdict:
        """Whether a condition holds, evaluated once for equal facts and candidates."""
        key = (when.text, facts, mark)
        if key not in self._verdicts:
            if len(self._verdicts) >= _MOST_VERDICTS:  # each value of a goal that is tried adds some
                self._verdicts.clear()
            self._verdicts[key] = ask()
        return self._verdicts[key]


def _concerned(rules: Sequence[Rule], found: Composed) -> tuple[Rule, ...]:
    """The rules that have something to say of a candidate where their conditions hold."""
    techniques, stages = found.plan.techniques, [s.use for s in found.plan.steps]
    return tuple(r for r in rules if r.concerns(techniques, stages) != (r.strength == "requires"))


class _Sitting:
    """One judgement: what candidates share under the same facts."""

    def __init__(self, bench: Bench, profile: Profile, given: Bounds) -> None:
        self.bench = bench
        self.profile = profile
        self.given = given
        self.faults: dict[str, str] = {}
        self._judge = Judge(profile)
        self._present = Present(profile)
        self._read: dict[str, tuple[Any, ...]] = {}
        self._settled: dict[str, Verdict] = {}
        #: Facts that differ from those of another profile and rules that read one, by that profile's identity.
        self._changed: dict[int, tuple[frozenset[str], tuple[Rule, ...]]] = {}

    def judged(self, option: Option, found: Composed) -> Judged:
        """One candidate with its quality, reasons and rejections."""
        broken = rejections(found, self.given)
        if found.pipeline is None:
            plain = Candidate(found.plan, Estimate(), 0.0, 0.0, 100.0, rejections=tuple(broken))
            return Judged(plain, option.number)
        opinion = self._opinion(self.bench.case(found), found)
        prediction = opinion.prediction
        broken += opinion.barred
        candidate = _candidate(found, opinion.quality, opinion.reasons, broken)
        own = self.bench.host.judge(candidate, self.profile)
        if own:
            broken += [Rejection("rule", r.because, r.rule, "leave it out") for r in own if r.strength == "forbids"]
            reasons = (*opinion.reasons, *own)
            candidate = _candidate(found, _moved(prediction, reasons), reasons, broken)
        if (short := below_least(candidate.high, self.given)) is not None:
            candidate = replace(candidate, rejections=(*candidate.rejections, short))
        return Judged(candidate, option.number, prediction, self._upkeep(found, opinion.features))

    def _opinion(self, case: _Case, found: Composed) -> _Opinion:
        """What is to be said of a candidate, again only where a fact that it rests on changed."""
        known = next(filter(self._stands, case.opinions), None)
        if known is None:
            known = self._formed(case, found)
            case.opinions[1:] = [known]
        self.faults.update(known.faults)
        return known

    def _stands(self, known: _Opinion) -> bool:
        """Whether no fact changed that an opinion rests on, and every rule says of it what it said."""
        profile = id(known.facts)
        if profile not in self._changed:  # looked up once for all candidates
            names = changed_names(known.facts, self.profile.facts)
            self._changed[profile] = (names, tuple(r for r in self.bench.rules if r.when.reads_any(names)))
        names, rules = self._changed[profile]
        if not known.reads.without(names):
            return False
        if rules and known.faults:
            return False
        for rule in rules:
            said = known.verdicts.get(rule.id)
            if said is not None and said != self._holds(rule, known.mark, known.view):
                return False
        return True

    def _formed(self, case: _Case, found: Composed) -> _Opinion:
        assert found.pipeline is not None
        features = self._features(case)
        assert case.reads is not None
        watch = Watch(self.profile)
        others, self.faults = self.faults, {}
        prediction = self.bench.prediction(features)
        reasons = [_term_reason(t.name, t.points, t.because, t.sources) for t in prediction.terms]
        if text := placement_text(watch.profile, found.pipeline):
            reasons.append(Reason("placement", "notes", text))
        barred: list[Rejection] = []
        verdicts = {r.id: self._holds(r, case.mark, case.view) for r in case.concerned}
        reasons += _rule_reasons([r for r in case.concerned if verdicts[r.id]], barred)
        reasons += _shown_by_runs(found.plan.techniques, self.bench.calibration, points_kind(watch.profile))
        faults, self.faults = self.faults, others
        return _Opinion(
            self.profile.facts, Reads.of([*case.reads.log(), *watch.log]), prediction, features, tuple(reasons),
            tuple(barred), _moved(prediction, reasons), verdicts, faults, case.mark, case.view,
        )  # fmt: skip

    def _upkeep(self, found: Composed, features: Features) -> Upkeep:
        assert found.pipeline is not None
        return upkeep_of(self.profile, found.pipeline, features)

    def _features(self, case: _Case) -> Features:
        if case.features is None or case.reads is None or not case.reads.hold(self._present):
            assert case.found.pipeline is not None
            watch = Watch(self.profile)
            features = features_of(watch.profile, case.found.pipeline)
            case.view = _view(case.found, features, Privacy(watch.profile))
            case.reads, case.features = watch.reads, features
            case.mark = repr(case.view)
        return case.features

    def _holds(self, rule: Rule, mark: str = "", view: Mapping[str, Any] | None = None) -> bool:
        when = rule.when
        if when.program is None:
            return True
        if rule.id in self.bench.asking:
            verdict = self.bench.verdict(when, self._facts(when), mark, lambda: self._judge.ask(when, view))
        elif (known := self._settled.get(rule.id)) is not None:
            verdict = known
        else:
            verdict = self.bench.verdict(when, self._facts(when), "", lambda: self._judge.ask(when, None))
            self._settled[rule.id] = verdict
        if verdict.fault:
            self.faults[when.text] = verdict.fault
        return verdict.holds

    def _facts(self, when: Condition) -> tuple[Any, ...]:
        """The values that a condition reads of the profile."""
        if when.text not in self._read:
            found: list[Any] = []
            for section, leaf in sorted(when.reads):
                if section == CANDIDATE:
                    continue
                if leaf:
                    fact = self.profile.facts.get(f"{section}.{leaf}")
                    value = None if fact is None else fact.value
                    found.append(repr(value) if isinstance(value, bool) else value)  # True == 1.0, and they differ
                else:
                    found.append(repr({n: f.value for n, f in sorted(self.profile.section(section).items())}))
            self._read[when.text] = tuple(found)
        return self._read[when.text]

    def held(self) -> tuple[Rule, ...]:
        """The rules about the whole scenario that hold."""
        return tuple(r for r in self.bench.rules if r.id not in self.bench.asking and self._holds(r))


def _rule_reasons(rules: Sequence[Rule], barred: list[Rejection]) -> list[Reason]:
    """Reasons of rules that hold for a candidate; what they forbid or miss is added to ``barred``."""
    reasons = []
    for rule in rules:
        if rule.strength == "requires":
            wanted = " or ".join(rule.techniques)
            barred.append(Rejection(f"rule {rule.id}", rule.because, f"plans with {wanted}", f"add {wanted}"))
        elif rule.strength == "forbids":
            without = " and ".join(rule.techniques)
            barred.append(Rejection(f"rule {rule.id}", rule.because, "the rule forbids it", f"leave out {without}"))
        reasons.append(Reason(rule.id, rule.strength, rule.because, rule.sources, rule.points))
    return reasons


def _moved(prediction: Prediction, reasons: Sequence[Reason]) -> tuple[float, float, float]:
    """The expected quality with its interval, moved by what the reasons beside the prediction say."""
    moved = sum(r.points for r in reasons) - prediction.points
    low, high = prediction.low + moved, prediction.high + moved
    return _bounded(prediction.points + moved), _bounded(low), _bounded(high)


def _bounded(points: float) -> float:
    return min(100.0, max(0.0, points))


def _candidate(
    found: Composed, quality: tuple[float, float, float], reasons: tuple[Reason, ...], broken: Sequence[Rejection]
) -> Candidate:
    assert found.pipeline is not None
    return Candidate(found.plan, found.pipeline.estimate, *quality, reasons, tuple(broken))


def _shown_by_runs(techniques: Sequence[str], calibration: Calibration, kind: str) -> list[Reason]:
    """By how many points what ran here moves the expectation."""
    name = "+".join(techniques) or "nothing"
    known = calibration.of(kind, name)
    if not known.offset:
        return []
    ran = f"{known.runs} of {name}" if known.runs else f"none of {name}, so partly"
    because = f"plans that ran here scored otherwise than predicted ({ran})"
    strength: Strength = "prefers" if known.offset > 0 else "avoids"
    return [Reason("calibration/quality", strength, because, ("this project's runs",), known.offset)]


def _term_reason(name: str, points: float, because: str, sources: tuple[str, ...]) -> Reason:
    strength = "prefers" if points > 0 else "avoids" if points < 0 else "notes"
    return Reason(f"quality/{name}", strength, because, sources, points)  # type: ignore[arg-type]


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
