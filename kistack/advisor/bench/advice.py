"""The advisor held against published comparisons: does it put first what came out best, for reasons that carry over.

Each comparison's facts become a profile and each of its options a candidate, judged by the same effects, rules, limits
and choice as any plan. What is told: agreement (the first choice is one that may be put first), violations (it matches
what must not be), regret, agreement with every paper left out of the advisor while its own comparisons are judged,
agreement with each fact unknown, and what blanket habits would have come to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from kistack.advisor.bench.comparisons import Comparison, Option
from kistack.advisor.bench.costing import estimate_of, rejected
from kistack.advisor.bench.options import Read, profile_of, read_option, without
from kistack.advisor.choice import Judged, Upkeep, ranked
from kistack.advisor.conditions import Judge
from kistack.advisor.effects import EffectTable, cites, effect_table
from kistack.advisor.policies import Rule, load_policies, policy_paths
from kistack.advisor.quality import predict
from kistack.domain.advice import Candidate, Rejection
from kistack.domain.plan import Plan, Step
from kistack.domain.records import Estimate

BENCH_SCHEMA = 1
#: Differences of less than this share of the best expected quality do not matter: published comparisons call it equal.
MARGIN = 0.02
#: What is left out, one at a time, to see what the advice rests on.
FACTS = (
    "base_knows",
    "changes",
    "post_cutoff",
    "popularity",
    "corpus",
    "retrieval",
    "pairs",
    "base.params_b",
    "base.kind",
    "teacher",
    "train_on",
    "serve_on",
    "limits",
)
_SECONDS_A_DAY_OF_TRAFFIC = 1000.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the advisor put first in one comparison; ``order`` are all options, the best first."""

    row: Comparison
    order: tuple[str, ...]
    failed: str = ""

    @property
    def chosen(self) -> Option | None:
        """The first choice; None where the advisor could not express the comparison."""
        return next((o for o in self.row.options if self.order and o.id == self.order[0]), None)

    @property
    def agrees(self) -> bool:
        """Whether the first choice may be put first."""
        return self.chosen is not None and self.chosen.id in self.row.recommend

    @property
    def violates(self) -> bool:
        """Whether the first choice matches what must not be put first."""
        return self.chosen is not None and self.row.violates(self.chosen)

    @property
    def regret(self) -> float:
        """Normalised regret; the worst where there is no choice."""
        return 1.0 if self.chosen is None else self.row.regret(self.chosen)


def shipped_rules() -> tuple[Rule, ...]:
    """The rules of the default policy."""
    return load_policies(policy_paths(["default"]))


def judge(row: Comparison, table: EffectTable, rules: Sequence[Rule]) -> Verdict:
    """Rank the options of one comparison; one that cannot be expressed counts as a miss and says why."""
    try:
        order = _ranking(row, table, rules)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        return Verdict(row, (), f"{type(error).__name__}: {error}")
    return Verdict(row, tuple(row.options[j.number].id for j in order))


def _ranking(row: Comparison, table: EffectTable, rules: Sequence[Rule]) -> list[Judged]:
    reads = [read_option(row, option, table) for option in row.options]
    estimates = [estimate_of(row, read, table) for read in reads]
    nothing = Option(id="", levers={}, value=0.0)
    limits = rejected(row, estimates, estimate_of(row, read_option(row, nothing, table), table))
    judgement = Judge(profile_of(row))
    judged = [
        _judged(number, read, estimate, broken, judgement, table, rules)
        for number, (read, estimate, broken) in enumerate(zip(reads, estimates, limits, strict=True))
    ]
    best = max((j.candidate.quality for j in judged if j.candidate.kept), default=0.0)
    return ranked(judged, MARGIN * best)


def _judged(
    number: int,
    read: Read,
    estimate: Estimate,
    broken: list[Rejection],
    judgement: Judge,
    table: EffectTable,
    rules: Sequence[Rule],
) -> Judged:
    prediction = predict(read.features, table)
    points = prediction.points
    for rule in rules:
        concerned = rule.concerns(read.techniques, read.stages)
        if rule.strength == "requires":
            concerned = not concerned
        if not concerned or not judgement.ask(rule.when, read.view).holds:
            continue
        points += rule.points
        if rule.strength in {"forbids", "requires"}:
            broken.append(Rejection(f"rule {rule.id}", rule.because, "the rule forbids it", "leave it out"))
    plan = Plan(steps=tuple(Step(use=s) for s in read.stages))
    quality = min(100.0, max(0.0, points))
    candidate = Candidate(plan, estimate, quality, prediction.low, prediction.high, (), tuple(broken))
    upkeep = Upkeep(
        answering=_SECONDS_A_DAY_OF_TRAFFIC * estimate.cost("latency_seconds"),
        refreshing=0.0,
        building=estimate.cost("seconds") / read.features.horizon_days,
    )
    return Judged(candidate, number, prediction, upkeep)


# --- leaving papers out


def without_paper(
    paper: str, rows: Sequence[Comparison], table: EffectTable, rules: Sequence[Rule]
) -> tuple[EffectTable, tuple[Rule, ...]]:
    """The advisor as it would be had this paper not been published.

    Effects are fitted again without its figures. A rule that cites only it goes; one that cites others too stays only
    if it fires on a comparison of one of those.
    """
    kept = [
        rule for rule in rules if not any(cites(s, paper) for s in rule.sources) or _carried(rule, paper, rows, table)
    ]
    return table.without(lambda source: cites(source, paper)), tuple(kept)


def _carried(rule: Rule, paper: str, rows: Sequence[Comparison], table: EffectTable) -> bool:
    others = [s for s in rule.sources if not cites(s, paper)]
    supported = [r for r in rows if r.scorable and r.paper != paper and any(cites(s, r.paper) for s in others)]
    return any(_fires(rule, row, table) for row in supported)


def _fires(rule: Rule, row: Comparison, table: EffectTable) -> bool:
    judgement = Judge(profile_of(row))
    for option in row.options:
        read = read_option(row, option, table)
        concerned = rule.concerns(read.techniques, read.stages)
        if (concerned or not rule.techniques) and judgement.ask(rule.when, read.view).holds:
            return True
    return False


# --- habits


def _is(levers: Mapping[str, Any], name: str) -> str:
    return str(levers.get(name) or ("off" if name == "retrieve" else "none"))


def _plain(levers: Mapping[str, Any], *others: str) -> bool:
    return all(_is(levers, name) == ("off" if name == "retrieve" else "none") for name in others)


HABITS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "always retrieve": lambda v: _is(v, "retrieve") in {"always", "gated"} and _plain(v, "tune", "distill", "quantize"),
    "always tune": lambda v: _is(v, "tune") != "none" and _plain(v, "retrieve", "distill", "quantize"),
    "always both": lambda v: _is(v, "retrieve") == "always" and _is(v, "tune") != "none",
    # A corpus that is put into the prompt as it is takes no index and no training.
    "do nothing": lambda v: _is(v, "retrieve") in {"off", "long_context"} and _plain(v, "tune", "distill", "quantize"),
    "always int4": lambda v: _is(v, "quantize").startswith("int4"),
}


def habit_score(rows: Sequence[Comparison], habit: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any]:
    """What always choosing the same comes to, over the comparisons that offer it (their first option of the kind)."""
    chosen = [(row, next(o for o in row.options if habit(o.levers))) for row in rows if _offers(row, habit)]
    return {
        "offered": len(chosen),
        "agree": sum(o.id in row.recommend for row, o in chosen),
        "avoid_violations": sum(row.violates(o) for row, o in chosen),
        "regret": fmean(row.regret(o) for row, o in chosen) if chosen else None,
        "rows": [row.id for row, _ in chosen],
    }


def _offers(row: Comparison, habit: Callable[[Mapping[str, Any]], bool]) -> bool:
    return any(habit(o.levers) for o in row.options)


# --- all of it


def bench_advice(
    rows: Sequence[Comparison], table: EffectTable | None = None, rules: Sequence[Rule] | None = None
) -> dict[str, Any]:
    """The document of ``kistack bench advice``: scores over the comparisons that decide something."""
    table = effect_table() if table is None else table
    rules = shipped_rules() if rules is None else rules
    scored = [r for r in rows if r.scorable]
    verdicts = [judge(r, table, rules) for r in scored]
    left_out = [judge(r, *without_paper(r.paper, rows, table, rules)) for r in scored]
    habits = {name: habit_score(scored, habit) for name, habit in HABITS.items()}
    for score in habits.values():
        own = [v.regret for v in verdicts if v.row.id in score["rows"]]
        score["advisor_regret"] = fmean(own) if own else None
    return {
        "schema": BENCH_SCHEMA,
        "rows": [_row_document(v, other) for v, other in zip(verdicts, left_out, strict=True)],
        "unscorable": [r.id for r in rows if not r.scorable],
        "agreement": _share(v.agrees for v in verdicts),
        "avoid_violations": sum(v.violates for v in verdicts),
        "lopo_agreement": _share(v.agrees for v in left_out),
        "regret": fmean(v.regret for v in verdicts) if verdicts else 0.0,
        "habits": habits,
        "ablation": {fact: _share(judge(without(r, fact), table, rules).agrees for r in scored) for fact in FACTS},
    }


def _share(flags: Any) -> float:
    listed = list(itertools.chain(flags))
    return sum(listed) / len(listed) if listed else 0.0


def _row_document(verdict: Verdict, left_out: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.row.id,
        "paper": verdict.row.paper,
        "chosen": verdict.order[0] if verdict.order else None,
        "order": list(verdict.order),
        "recommend": list(verdict.row.recommend),
        "agrees": verdict.agrees,
        "violates": verdict.violates,
        "regret": verdict.regret,
        "lopo_chosen": left_out.order[0] if left_out.order else None,
        "lopo_agrees": left_out.agrees,
        "failed": verdict.failed,
    }
