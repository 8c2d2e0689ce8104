"""Advice: every candidate judged by quality, limits and rules, ranked, with reasons for and against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from kistack.advisor.alternatives import Alternative, alternatives
from kistack.advisor.changes import WhatIf
from kistack.advisor.choice import Judged, front, gap, gives_up, rival
from kistack.advisor.inverse import read_target, what_must_change
from kistack.advisor.judging import Bench, Judgement
from kistack.advisor.policies import Rule
from kistack.advisor.sensitivity import flips
from kistack.domain.advice import Recommendation
from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.domain.facts import Profile
from kistack.domain.scenario import Scenario
from kistack.plugins.host import Host

CONTEXT_SCHEMA = 1
#: Below this probability of being better than the runner-up, the choice is called uncertain.
_SURE = 0.8


def advise(
    scenario: Scenario, profile: Profile, host: Host, *, calibration: Calibration = UNCALIBRATED
) -> Recommendation:
    """Judge every candidate of a scenario, its predictions corrected by what runs have shown (``calibration``).

    Deterministic, pure, without loading any model. ``Recommendation.context`` says, as JSON, how the choice was made:
    the margin, what was tied, the runner-up and what it gives up, how sure the choice is, which rules held.

    Raises:
        InputError: a policy file cannot be read or used (``InvalidInput`` lists every mistake).
    """
    return recommended(Bench(scenario, profile, host, calibration))


def recommended(bench: Bench) -> Recommendation:
    """What a bench recommends under its scenario's own facts."""
    judgement, others = bench.judgement, alternatives(bench)
    order = judgement.order
    notes = [
        *bench.notes(),
        *_rule_notes(bench.rules, judgement),
        *(a.because for a in others),
        *_choice_notes(order, judgement.margin),
        *_probe_note(order, judgement.margin, bench.profile),
        *_calibration_notes(order, bench.calibration, bench.profile),
    ]
    return Recommendation(
        candidates=tuple(j.candidate for j in order),
        profile=bench.profile.digest,
        notes=tuple(dict.fromkeys(notes)),
        front=front(order),
        context=_context(bench, judgement, others),
    )


def explained(bench: Bench, *, target: str = "", thorough: bool = False) -> Recommendation:
    """The recommendation with what would flip it, and what must change for ``target`` to win where one is asked for.

    ``context`` gains ``flips``, ``ranges``, ``not_searched`` and, for a target, ``what_must_change``. ``thorough``
    looks for flips without a bound on cost.

    Raises:
        InputError: ``target`` names no techniques.
    """
    wanted = read_target(target) if target else ""
    advice = recommended(bench)
    context = {**advice.context, **flips(bench, thorough=thorough).to_json()}
    if wanted:
        context["what_must_change"] = what_must_change(bench, wanted).to_json()
    return replace(advice, context=context)


def what_if(made: WhatIf, before: Bench, after: Bench, *, target: str = "", thorough: bool = False) -> Recommendation:
    """The recommendation under changes; ``context["what_if"]`` says what was changed and how the choice moved."""
    advice = explained(after, target=target, thorough=thorough)
    moved = {
        "changes": [asdict(c) for c in made.told(after.profile)],
        "before": _choice(before.judgement),
        "after": _choice(after.judgement),
    }
    return replace(advice, context={**advice.context, "what_if": moved})


def _choice(judgement: Judgement) -> dict[str, Any] | None:
    """The recommended plan in a few numbers; None where nothing is feasible."""
    if judgement.best is None:
        return None
    c = judgement.best.candidate
    costs = ("seconds", "latency_seconds", "serving_peak_bytes", "bytes", "money")
    return {"name": c.name, "points": c.quality, **{n: c.estimate.cost(n) for n in costs}}


def _rule_notes(rules: Sequence[Rule], judgement: Judgement) -> list[str]:
    """Notes about the whole scenario, and rules that nobody could evaluate."""
    told = [r.because for r in judgement.held if r.strength == "notes" and not r.techniques]
    faults = judgement.faults
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


def _calibration_notes(order: Sequence[Judged], calibration: Calibration, profile: Profile) -> list[str]:
    """How many runs the numbers of the recommended plan rest on."""
    best = next((j.candidate for j in order if j.candidate.kept), None)
    stages = dict.fromkeys(s.use for s in best.plan.steps) if best is not None else ()
    line = calibration.describe(stages, profile.text("hardware.fingerprint"))
    return [line] if line else []


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
    return [f"a probe would measure {settled} on a few training pairs, which is assumed here: kistack profile --probe"]


def _context(bench: Bench, judgement: Judgement, others: Sequence[Alternative]) -> dict[str, Any]:
    order, margin, kept = judgement.order, judgement.margin, judgement.kept
    context: dict[str, Any] = {
        "schema": CONTEXT_SCHEMA,
        "indifference": margin,
        "upkeep_seconds_per_day": [round(j.upkeep.total, 3) for j in order],
        "rules": {
            "held": [r.id for r in judgement.held],
            "asked_per_candidate": [r.id for r in bench.rules if r.when.asks_candidate],
        },
        "alternatives": [a.to_json() for a in others],
    }
    if kept:
        highest = max(j.candidate.quality for j in kept)
        context["tied"] = [
            n for n, j in enumerate(order) if j.candidate.kept and j.candidate.quality >= highest - margin
        ]
    number = rival(order)
    if number is not None:
        found = gap(kept[0], kept[number], margin)
        context["runner_up"] = {
            "index": number,
            "name": kept[number].candidate.name,
            "difference": asdict(found),
            "gives_up": gives_up(kept[0], kept[number]),
        }
        context["sure"] = "tied" if found.tied else "sure" if found.confidence >= _SURE else "unsure"
    return context
