"""Advice: every candidate judged by quality, limits and rules, ranked, with reasons for and against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kistack.advisor.candidates import Composed, candidates
from kistack.advisor.choice import Judged, front, gap, gives_up, ranked, rival, upkeep_of
from kistack.advisor.conditions import Judge
from kistack.advisor.features import Features, features_of
from kistack.advisor.limits import Bounds, below_least, bounds, rejections
from kistack.advisor.policies import Rule, load_policies, policy_paths
from kistack.advisor.quality import Prediction, predict
from kistack.domain.advice import Candidate, Reason, Recommendation, Rejection
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.domain.scenario import Scenario
from kistack.plugins.host import Host

CONTEXT_SCHEMA = 1
#: Below this probability of being better than the runner-up, the choice is called uncertain.
_SURE = 0.8


def advise(scenario: Scenario, profile: Profile, host: Host) -> Recommendation:
    """Judge every candidate of a scenario.

    Deterministic, pure, without loading any model. ``Recommendation.context`` says, as JSON, how the choice was made:
    the margin, what was tied, the runner-up and what it gives up, how sure the choice is, which rules held.

    Raises:
        InputError: a policy file cannot be read or used (``InvalidInput`` lists every mistake).
    """
    rules = load_policies(policy_paths(scenario.policies, host.policies()))
    judge = Judge(profile)
    notes: list[str] = []
    given = bounds(scenario, profile)
    found = candidates(profile, host, notes)
    bench = _Bench(profile, host, given, rules, judge)
    judged = [bench.judged(c, number) for number, c in enumerate(found)]
    margin = profile.number("scenario.indifference", scenario.indifference)
    order = ranked(judged, margin)
    notes += _rule_notes(rules, judge)
    notes += _choice_notes(order, margin)
    notes += _probe_note(order, margin, profile)
    return Recommendation(
        candidates=tuple(j.candidate for j in order),
        profile=profile.digest,
        notes=tuple(dict.fromkeys(notes)),
        front=front(order),
        context=_context(order, margin, rules, judge),
    )


class _Bench:
    """What candidates share while they are judged."""

    def __init__(self, profile: Profile, host: Host, given: Bounds, rules: Sequence[Rule], judge: Judge) -> None:
        self.profile = profile
        self.host = host
        self.given = given
        self.rules = rules
        self.judge = judge
        self._seen: dict[Features, Prediction] = {}

    def prediction(self, features: Features) -> Prediction:
        """Quality, worked out once for equal features."""
        if features not in self._seen:
            self._seen[features] = predict(features)
        return self._seen[features]

    def judged(self, found: Composed, number: int) -> Judged:
        """One candidate with its quality, reasons and rejections."""
        broken = rejections(found, self.given)
        if found.pipeline is None:
            return Judged(Candidate(found.plan, Estimate(), 0.0, 0.0, 100.0, rejections=tuple(broken)), number)
        features = features_of(self.profile, found.pipeline)
        prediction = self.prediction(features)
        reasons = [_term_reason(t.name, t.points, t.because, t.sources) for t in prediction.terms]
        reasons += _rule_reasons(found, features, self, broken)
        plain = _candidate(found, prediction, reasons, broken)
        own = self.host.judge(plain, self.profile)
        broken += [Rejection("rule", r.because, r.rule, "leave it out") for r in own if r.strength == "forbids"]
        candidate = _candidate(found, prediction, [*reasons, *own], broken)
        if (short := below_least(candidate.high, self.given)) is not None:
            candidate = replace(candidate, rejections=(*candidate.rejections, short))
        return Judged(candidate, number, prediction, upkeep_of(self.profile, found.pipeline, features))


def _candidate(
    found: Composed, prediction: Prediction, reasons: Sequence[Reason], broken: Sequence[Rejection]
) -> Candidate:
    """The candidate at its expected quality, moved by what the reasons beside the prediction say."""
    assert found.pipeline is not None
    moved = sum(r.points for r in reasons) - prediction.points
    quality, low, high = (min(100.0, max(0.0, p + moved)) for p in (prediction.points, prediction.low, prediction.high))
    return Candidate(found.plan, found.pipeline.estimate, quality, low, high, tuple(reasons), tuple(broken))


def _term_reason(name: str, points: float, because: str, sources: tuple[str, ...]) -> Reason:
    strength = "prefers" if points > 0 else "avoids" if points < 0 else "notes"
    return Reason(f"quality/{name}", strength, because, sources, points)  # type: ignore[arg-type]


def _rule_reasons(found: Composed, features: Features, bench: _Bench, broken: list[Rejection]) -> list[Reason]:
    """Reasons of the rules that hold for this candidate; what they forbid or miss is added to ``broken``."""
    techniques = found.plan.techniques
    stages = [s.use for s in found.plan.steps]
    view = _view(found, features)
    reasons = []
    for rule in bench.rules:
        concerned = rule.concerns(techniques, stages)
        if rule.strength == "requires":
            concerned = not concerned
        if not concerned or not bench.judge.ask(rule.when, view).holds:
            continue
        if rule.strength == "requires":
            wanted = " or ".join(rule.techniques)
            broken.append(Rejection(f"rule {rule.id}", rule.because, f"plans with {wanted}", f"add {wanted}"))
        elif rule.strength == "forbids":
            without = " and ".join(rule.techniques)
            broken.append(Rejection(f"rule {rule.id}", rule.because, "the rule forbids it", f"leave out {without}"))
        reasons.append(Reason(rule.id, rule.strength, rule.because, rule.sources, rule.points))
    return reasons


def _view(found: Composed, features: Features) -> dict[str, Any]:
    """What conditions see of a candidate; numbers are doubles."""
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
        "trained_with_passages": any(c.with_passages for c in features.changes),
    }


def _doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _doubles(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_doubles(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _rule_notes(rules: Sequence[Rule], judge: Judge) -> list[str]:
    """Notes about the whole scenario, and rules that nobody could evaluate."""
    told = [
        r.because
        for r in rules
        if r.strength == "notes" and not r.techniques and not r.when.asks_candidate and judge.ask(r.when).holds
    ]
    faults = judge.faults
    skipped = [f"rule {r.id} ({r.where}) was skipped: {faults[r.when.text]}" for r in rules if r.when.text in faults]
    return told + skipped


def _choice_notes(order: Sequence[Judged], margin: float) -> list[str]:
    kept = [j for j in order if j.candidate.kept]
    if not kept:
        return ["no candidate keeps every limit: the nearest ways out stand beside the rejected ones"]
    notes = []
    best, number = kept[0], rival(order)
    highest = max(j.candidate.quality for j in kept)
    if best.candidate.quality < highest:
        notes.append(
            f"{best.candidate.name} is within {margin:g} points of the highest expected quality ({highest:.0f}) "
            "and the cheapest of those to serve and keep fresh"
        )
    if number is not None:
        notes += _gap_note(best, kept[number], margin)
    return notes


def _gap_note(best: Judged, other: Judged, margin: float) -> list[str]:
    found = gap(best, other, margin)
    one, two = best.candidate, other.candidate
    if found.tied:
        return [
            (
                f"{one.name} and {two.name} are tied: they differ by {found.points:+.1f} points, {found.low:+.1f} to "
                f"{found.high:+.1f}, and {margin:g} do not matter here"
            )
        ]
    if found.confidence < _SURE:
        return [
            (
                f"published figures alone do not decide between {one.name} and {two.name} ({found.low:+.0f} to "
                f"{found.high:+.0f} points): measure both before relying on either"
            )
        ]
    return []


def _probe_note(order: Sequence[Judged], margin: float, profile: Profile) -> list[str]:
    """What a probe would settle, where the choice is uncertain and nothing was probed."""
    number = rival(order)
    if number is None or "probe.closed_book" in profile or profile.number("pairs.train") < 1:
        return []
    kept = [j for j in order if j.candidate.kept]
    found = gap(kept[0], kept[number], margin)
    if found.tied or found.confidence >= _SURE:
        return []
    settled = "what the base model answers by itself"
    if profile.text("corpus.identity"):
        settled += ", what it reads off a passage and what retrieval finds"
    return [f"a probe would measure {settled} on a few training pairs, which is assumed here: kistack advise --probe"]


def _context(order: Sequence[Judged], margin: float, rules: Sequence[Rule], judge: Judge) -> dict[str, Any]:
    kept = [j for j in order if j.candidate.kept]
    context: dict[str, Any] = {
        "schema": CONTEXT_SCHEMA,
        "indifference": margin,
        "upkeep_seconds_per_day": [round(j.upkeep.total, 3) for j in order],
        "rules": {
            "held": [r.id for r in rules if not r.when.asks_candidate and judge.ask(r.when).holds],
            "asked_per_candidate": [r.id for r in rules if r.when.asks_candidate],
        },
    }
    if kept:
        highest = max(j.candidate.quality for j in kept)
        context["tied"] = [
            n for n, j in enumerate(order) if j.candidate.kept and j.candidate.quality >= highest - margin
        ]
    number = rival(order)
    if number is not None:
        context["runner_up"] = {
            "index": number,
            "name": kept[number].candidate.name,
            "difference": asdict(gap(kept[0], kept[number], margin)),
            "gives_up": gives_up(kept[0], kept[number]),
        }
    return context
