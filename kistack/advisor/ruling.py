"""Rules at work: which of them hold under some facts, and what those that do say of a candidate.

A verdict is evaluated once for equal facts and candidates. What all rules say of a candidate is kept until a fact that
decides any of them changes, so that judging again under another limit asks no rule twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

from kistack.advisor.candidates import Composed
from kistack.advisor.conditions import CANDIDATE, Condition, Judge, Verdict
from kistack.advisor.policies import Rule
from kistack.domain.advice import Reason, Rejection
from kistack.domain.facts import Profile

#: Verdicts that are kept.
_MOST_VERDICTS = 100_000


@dataclass(frozen=True, slots=True)
class Said:
    """What the rules say of a candidate: reasons for and against, and what they forbid or miss."""

    reasons: tuple[Reason, ...] = ()
    rejections: tuple[Rejection, ...] = ()


@dataclass(slots=True)
class Concern:
    """The rules that may have something to say of one candidate; ``mark`` is equal for equal ``view``.

    ``said`` is what they said last and ``held`` which of them held, in their order, under the facts that ``signature``
    stands for; ``marks``, by rule, are equal for views that are equal in what the rule reads of them.
    """

    rules: tuple[Rule, ...]
    view: dict[str, Any]
    mark: str
    signature: tuple[Any, ...] | None = None
    said: Said = Said()
    held: tuple[bool, ...] = ()
    marks: dict[str, str] = field(default_factory=dict)

    def marked(self, rule: str, fields: tuple[str, ...]) -> str:
        """The mark of the fields of the view that a rule reads; of all of them where none is named."""
        known = self.marks.get(rule)
        if known is None:
            whole = not fields
            known = self.mark if whole else repr([(n, self.view[n]) for n in fields if n in self.view])
            self.marks[rule] = known
        return known


class Rulebook:
    """The rules of a scenario with every verdict so far."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        #: Rules whose conditions ask for the candidate.
        self.asking = frozenset(r.id for r in rules if r.when.asks_candidate)
        #: What each of them reads of it; nothing where one reads the whole.
        self.fields = {r.id: _fields(r.when) for r in rules if r.id in self.asking}
        self._said: dict[tuple[int, tuple[bool, ...]], Said] = {}
        self._verdicts: dict[tuple[str, tuple[Any, ...], str], Verdict] = {}
        self._signatures: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._concerned: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[Rule, ...]] = {}

    def concerned(self, found: Composed) -> tuple[Rule, ...]:
        """The rules that have something to say of a candidate where their conditions hold."""
        key = (found.plan.techniques, tuple(s.use for s in found.plan.steps))
        if key not in self._concerned:
            techniques, stages = key
            self._concerned[key] = tuple(
                r for r in self.rules if r.concerns(techniques, stages) != (r.strength == "requires")
            )
        return self._concerned[key]

    def verdict(self, when: Condition, facts: tuple[Any, ...], mark: str, ask: Callable[[], Verdict]) -> Verdict:
        """Whether a condition holds, evaluated once for equal facts and candidates."""
        key = (when.text, facts, mark)
        if key not in self._verdicts:
            if len(self._verdicts) >= _MOST_VERDICTS:  # each value of a limit that is tried adds some
                self._verdicts.clear()
            self._verdicts[key] = ask()
        return self._verdicts[key]

    def said(self, rules: tuple[Rule, ...], held: tuple[bool, ...]) -> Said:
        """What those of a candidate's rules say that hold, put into words once."""
        key = id(rules), held  # of ``concerned``, which are kept
        found = self._said.get(key)
        if found is None:
            found = self._said[key] = _words(list(compress(rules, held)))
        return found

    def same(self, signature: tuple[Any, ...]) -> tuple[Any, ...]:
        """The first signature equal to this one, so that identity tells whether two are."""
        return self._signatures.setdefault(signature, signature)


class Ruling:
    """The rules under one set of facts; ``faults`` maps conditions nobody could evaluate to what was wrong."""

    def __init__(self, book: Rulebook, profile: Profile) -> None:
        self.faults: dict[str, str] = {}
        self._book = book
        self._profile = profile
        self._judge = Judge(profile)
        self._read: dict[str, tuple[Any, ...]] = {}
        #: By the identity of a signature and of a candidate's rules, which the book keeps.
        self._others: dict[tuple[int, int], tuple[tuple[int, Rule], ...]] = {}
        #: By rule and mark, which rules that ask for the candidate hold.
        self._known: dict[str, dict[str, bool]] = {}
        self._signature = book.same(
            tuple(self._facts(r.when) if r.id in book.asking else self._holds(r) for r in book.rules)
        )

    def held(self) -> tuple[Rule, ...]:
        """The rules about the whole scenario that hold."""
        return tuple(r for r in self._book.rules if r.id not in self._book.asking and self._holds(r))

    def of(self, concern: Concern) -> Said:
        """What the rules say of a candidate."""
        if concern.signature is self._signature:
            return concern.said
        faults = len(self.faults)
        if concern.signature is None:
            held = [self._of(rule, concern) for rule in concern.rules]
        else:  # what the others read is as it was
            held = list(concern.held)
            for place, rule in self._differing(concern):
                held[place] = self._of(rule, concern)
        concern.held = tuple(held)
        concern.said = self._book.said(concern.rules, concern.held)
        # A fault must be told under every set of facts.
        concern.signature = None if len(self.faults) > faults else self._signature
        return concern.said

    def _differing(self, concern: Concern) -> tuple[tuple[int, Rule], ...]:
        """Of the rules that concern a candidate those of which other facts decide than when it was asked of last."""
        key = id(concern.signature), id(concern.rules)
        found = self._others.get(key)
        if found is None:
            assert concern.signature is not None
            pairs = zip(self._book.rules, concern.signature, self._signature, strict=True)
            others = {rule.id for rule, one, other in pairs if one != other}
            found = self._others[key] = tuple((n, rule) for n, rule in enumerate(concern.rules) if rule.id in others)
        return found

    def _of(self, rule: Rule, concern: Concern) -> bool:
        """Whether a rule holds for a candidate."""
        if rule.id not in self._book.asking:
            return self._holds(rule)
        mark = concern.marked(rule.id, self._book.fields[rule.id])
        known = self._known.setdefault(rule.id, {})
        holds = known.get(mark)
        if holds is None:
            holds = known[mark] = self._holds(rule, mark, concern.view)
        return holds

    def _holds(self, rule: Rule, mark: str = "", view: dict[str, Any] | None = None) -> bool:
        when = rule.when
        if when.program is None:
            return True
        verdict = self._book.verdict(when, self._facts(when), mark, lambda: self._judge.ask(when, view))
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
                    fact = self._profile.facts.get(f"{section}.{leaf}")
                    value = None if fact is None else fact.value
                    found.append(repr(value) if isinstance(value, bool) else value)  # True == 1.0, and they differ
                else:
                    found.append(repr({n: f.value for n, f in sorted(self._profile.section(section).items())}))
            self._read[when.text] = tuple(found)
        return self._read[when.text]


def _fields(when: Condition) -> tuple[str, ...]:
    """What a condition reads of a candidate; nothing where it reads the whole."""
    found = sorted(leaf for section, leaf in when.reads if section == CANDIDATE)
    return () if "" in found else tuple(found)


def _words(rules: Sequence[Rule]) -> Said:
    reasons, rejections = [], []
    for rule in rules:
        if rule.strength == "requires":
            wanted = " or ".join(rule.techniques)
            rejections.append(Rejection(f"rule {rule.id}", rule.because, f"plans with {wanted}", f"add {wanted}"))
        elif rule.strength == "forbids":
            without = " and ".join(rule.techniques)
            rejections.append(Rejection(f"rule {rule.id}", rule.because, "the rule forbids it", f"leave out {without}"))
        reasons.append(Reason(rule.id, rule.strength, rule.because, rule.sources, rule.points))
    return Said(tuple(reasons), tuple(rejections))
