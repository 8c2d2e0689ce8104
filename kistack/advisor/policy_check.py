"""Policies checked before they are relied on: whether each rule can fire, and whether two contradict each other."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kistack.advisor.conditions import Judge, condition
from kistack.advisor.expressions import Expression, parse
from kistack.advisor.policies import Rule
from kistack.advisor.vocabulary import strangers
from kistack.advisor.witnesses import Search, View, Witness, candidate_views, search
from kistack.domain.facts import Profile
from kistack.errors import InputError

Outcome = Literal["can fire", "cannot fire", "not shown to fire"]
_OUTCOMES: dict[str, Outcome] = {"found": "can fire", "impossible": "cannot fire", "open": "not shown to fire"}


#: Values tried for two rules of which one leaves a way out in every case so far; such ways seldom hang on facts.
_MOST_TRIED_OF_TWO = 3_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What checking one rule came to.

    ``witness`` is a profile and a candidate for which it fires, ``why`` says why there is none; ``strangers`` are
    the facts it names that no profile has, with the nearest known one; ``questions`` were put to its condition.
    """

    rule: Rule
    outcome: Outcome
    why: str = ""
    witness: Witness | None = None
    strangers: tuple[tuple[str, str], ...] = ()
    questions: int = 0


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two rules that hold together and say opposite things, with a profile and candidate for which they do.

    One requires what the other forbids to every candidate that has it; or one prefers and the other avoids exactly the
    same techniques, both with points.
    """

    first: Rule
    second: Rule
    why: str
    witness: Witness


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """All findings, in the order of the rules."""

    findings: tuple[Finding, ...]
    contradictions: tuple[Contradiction, ...]

    @property
    def sound(self) -> bool:
        """Whether no rule is without effect, names what no profile has, or contradicts another."""
        broken = any(f.outcome == "cannot fire" or f.strangers for f in self.findings)
        return not broken and not self.contradictions


def check_rules(rules: Sequence[Rule]) -> PolicyCheck:
    """Each rule by itself, and every two that could contradict each other.

    A rule fires where its condition holds and the candidate is one it speaks of: one that has any of its techniques
    (``requires``: none of them), or the whole scenario for a note without techniques.
    """
    return PolicyCheck(tuple(_finding(r) for r in rules), tuple(_contradictions(rules)))


def fires(rule: Rule, profile: Profile, view: View) -> bool:
    """Whether a rule has an effect on a candidate as conditions see it."""
    return _concerns(rule, view) and Judge(profile).ask(rule.when, view).holds


def _concerns(rule: Rule, view: View) -> bool:
    if not rule.techniques:
        return not rule.when.asks_candidate
    concerned = rule.concerns(view["techniques"], view["stages"])
    return not concerned if rule.strength == "requires" else concerned


def _patterns(rules: Iterable[Rule]) -> list[str]:
    return [p for r in rules for entry in r.techniques for p in entry.split("+") if "/" in p]


def _finding(rule: Rule) -> Finding:
    try:
        tree = parse(rule.when.text) if rule.when.text.strip() else None
    except InputError as error:
        return Finding(rule, "not shown to fire", f"its condition cannot be taken apart: {error.message}")
    odd = tuple(strangers(tree.facts).items()) if tree is not None else ()
    if rule.strength == "notes" and not rule.techniques and rule.when.asks_candidate:
        why = "it asks the candidate but names no technique, so it speaks neither of a candidate nor of the scenario"
        return Finding(rule, "cannot fire", why, strangers=odd)
    found = search([rule.when], _patterns([rule]), lambda view: _concerns(rule, view))
    if found.witness is not None and not fires(rule, found.witness.profile, found.witness.candidate):
        found = Search("open", None, found.questions, found.fault)
    why = "" if found.witness is not None else _why(rule, tree, found)
    return Finding(rule, _OUTCOMES[found.outcome], why, found.witness, odd, found.questions)


def _why(rule: Rule, tree: Expression | None, found: Search) -> str:
    """The smallest part of a condition that explains why it never holds."""
    tried = f"asked {found.questions} times"
    if found.outcome == "open":
        return f"neither a case for it was found nor excluded ({tried})"
    parts = tree.conjuncts if tree is not None else ()
    for size in (1, 2):
        for some in itertools.combinations(parts, size):
            alone = search([condition(" && ".join(f"({p.text})" for p in some))])
            if alone.outcome == "impossible":
                fault = f": {alone.fault}" if alone.fault else ""
                told = " and ".join(" ".join(p.text.split()) for p in some)
                return f"{told} never hold{'s' if size == 1 else ' together'}{fault} ({tried})"
    who = "no candidate without" if rule.strength == "requires" else "no candidate with"
    wanted = " or ".join(rule.techniques)
    return f"its condition holds for {who} {wanted} ({tried})" if wanted else f"its parts never all hold ({tried})"


def _contradictions(rules: Sequence[Rule]) -> Iterable[Contradiction]:
    for one, other in itertools.combinations(rules, 2):
        if (why := _opposed(one, other)) is None:
            continue
        try:
            witness = _held_together(one, other)
        except InputError:
            continue
        if witness is not None:
            yield Contradiction(one, other, why, witness)


def _held_together(one: Rule, other: Rule) -> Witness | None:
    """A case in which both rules speak of one candidate and leave it no way out."""
    patterns = _patterns([one, other])
    if "requires" not in {one.strength, other.strength}:
        return search([one.when, other.when], patterns, lambda view: _concerns(one, view)).witness
    requires, forbids = sorted((one, other), key=lambda r: r.strength != "requires")
    having = [
        view
        for view in candidate_views([one.when, other.when], patterns)
        if requires.concerns(view["techniques"], view["stages"])
    ]

    def no_way_out(witness: Witness) -> bool:
        judge = Judge(witness.profile)
        return all(_concerns(forbids, view) and judge.ask(forbids.when, view).holds for view in having)

    return search(
        [one.when, other.when],
        patterns,
        lambda view: _concerns(forbids, view),
        accepts=no_way_out,
        most=_MOST_TRIED_OF_TWO,
    ).witness


def _opposed(one: Rule, other: Rule) -> str | None:
    """What two rules say against each other, should both hold; None where they can stand side by side."""
    by = {one.strength: one, other.strength: other}
    if set(by) == {"requires", "forbids"}:
        wanted, barred = by["requires"].techniques, by["forbids"].techniques
        if all(any(_covers(b, w) for b in barred) for w in wanted):
            return f"{by['requires'].id} requires {' or '.join(wanted)}, which {by['forbids'].id} forbids"
    if set(by) == {"prefers", "avoids"} and one.points and other.points:
        wanted = by["prefers"].techniques
        if set(wanted) == set(by["avoids"].techniques):
            told = " and ".join(wanted)
            return f"{by['prefers'].id} prefers {told}, which {by['avoids'].id} avoids, both with points"
    return None


def _covers(barred: str, wanted: str) -> bool:
    """Whether every candidate that has ``wanted`` (``a+b``, ``kind/name``) has ``barred``."""
    parts = wanted.split("+")
    return all(
        any(b == w or b == w.partition("/")[0] or ("/" in b and fnmatch.fnmatchcase(w, b)) for w in parts)
        for b in barred.split("+")
    )
