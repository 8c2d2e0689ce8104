"""Witnesses: a profile and a candidate for which conditions hold, found by search or shown not to exist.

The search assigns one fact after the other and asks the compiled CEL of every part of a condition as soon as all it
reads is assigned. Where each comparison is of one fact with constants, the values tried stand for all (see ``grids``).
Else, parts that compare facts with one another are replaced by flags that may be anything: conditions that do not hold
even then never do. What is neither found nor excluded so is told as that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kistack.advisor.conditions import CANDIDATE, SECTIONS, Condition, compiled, executed
from kistack.advisor.expressions import Expression, affine, parse
from kistack.advisor.grids import ABSENT, Grid, Path, settings_path
from kistack.advisor.vocabulary import Kind, known
from kistack.domain.facts import Profile, Value, assumed

#: Values tried after which a search gives up (some seconds).
MOST_TRIED = 100_000
#: The section of flags that stand for comparisons.
_FREE = "compared"

View = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Witness:
    """Facts of a profile (those the conditions read and that are not missing) and a candidate as conditions see it."""

    facts: Mapping[str, Value]
    candidate: View

    @property
    def profile(self) -> Profile:
        """A profile of these facts."""
        return Profile({name: assumed(value, "a witness of a rule") for name, value in self.facts.items()})


def candidate_views(conditions: Sequence[Condition], patterns: Iterable[str] = ()) -> list[dict[str, Any]]:
    """All candidates that conditions could tell apart, as far as the search tries them."""
    parts = [parse(c.text) for c in conditions if c.text.strip()]
    return Grid(tuple(a for p in parts for a in p.atoms)).views(patterns)


@dataclass(frozen=True, slots=True)
class Search:
    """What a search came to. ``questions`` were put to compiled conditions; ``fault`` is one that had no answer."""

    outcome: Literal["found", "impossible", "open"]
    witness: Witness | None = None
    questions: int = 0
    fault: str = ""


def search(
    conditions: Sequence[Condition],
    patterns: Iterable[str] = (),
    admits: Callable[[View], bool] | None = None,
    accepts: Callable[[Witness], bool] | None = None,
    most: int = MOST_TRIED,
) -> Search:
    """A witness for which all conditions hold, or whether there can be none.

    Args:
        conditions: compiled conditions.
        patterns: stages that candidates should also have, such as a rule's ``tune/lor*``.
        admits: which candidates count (default: all).
        accepts: which witnesses count by their facts (default: all); with it nothing is called impossible.
        most: values to try before giving up.

    Raises:
        InputError: a condition is no CEL that can be read.
    """
    parts = [c for condition in conditions if condition.text.strip() for c in parse(condition.text).conjuncts]
    attempt = _Attempt(parts, tuple(patterns), admits, accepts, most)
    if attempt.run():
        return Search("found", attempt.witness, attempt.questions, attempt.fault)
    loose = {_claim(a)[0] for p in parts for a in p.atoms if not _exact(a)}
    if attempt.spent or not loose or accepts is not None:
        sure = not attempt.spent and accepts is None
        return Search("impossible" if sure else "open", None, attempt.questions, attempt.fault)
    names = {text: f"{_FREE}.c{n}" for n, text in enumerate(sorted(loose))}
    freed = [c for p in parts for c in parse(_replaced(p, names)).conjuncts]
    second = _Attempt(freed, tuple(patterns), admits, None, most)
    held = second.run() or second.spent
    questions = attempt.questions + second.questions
    return Search("open" if held else "impossible", None, questions, attempt.fault)


#: A comparison as another one, its sides swapped and itself denied where the flags say so.
_AS = {">": ("<", True, False), "<=": ("<", True, True), ">=": ("<", False, True), "!=": ("==", False, True)}


def _claim(atom: Expression) -> tuple[str, bool]:
    """An atom in one spelling, and whether it denies that, so that equal and opposite comparisons share a flag."""
    op, swapped, denied = _AS.get(atom.op, (atom.op, False, False))
    args = atom.args[::-1] if swapped else atom.args
    return f"{op}{atom.value!r}({', '.join(_spelled(a) for a in args)})", denied


def _spelled(node: Expression) -> str:
    return f"{node.op}{node.value!r}({', '.join(_spelled(a) for a in node.args)})"


def _replaced(part: Expression, names: Mapping[str, str]) -> str:
    """The text of a part with its loose atoms replaced by flags."""
    text, shift = part.text, part.start
    for atom in sorted(part.atoms, key=lambda a: -a.start):
        claim, denied = _claim(atom)
        if claim in names and not _exact(atom):
            at = atom.start - shift
            text = text[:at] + "!" * denied + names[claim] + text[at + len(atom.text) :]
    return text


def _exact(atom: Expression) -> bool:
    """Whether the grid's values stand for all others in this atom."""
    if any(settings_path(path) for path in atom.facts):
        return False
    facts = [known(path) for path in atom.facts]
    # A fact that no profile has faults the atom whatever the others are; flags and listed values are all tried.
    if atom.op == "has" or None in facts or all(f.kind == "flag" or f.values for f in facts if f is not None):
        return True
    return len(facts) == 1 and facts[0] is not None and _exact_for(atom, facts[0].kind)


def _exact_for(atom: Expression, kind: Kind) -> bool:
    """The same for an atom of a single fact of this kind."""
    (path,) = atom.facts
    if kind in {"count", "number"} and atom.op in {"<", "<=", ">", ">=", "==", "!="}:
        return all(affine(arg, path, {}) is not None for arg in atom.args)
    if kind == "names":
        return atom.op == "in" and atom.args[0].op == "literal" and "/" in str(atom.args[0].value)
    plain = all(a.op in {"fact", "literal", "list"} for a in atom.args)
    return plain and atom.op in ({"in"} if kind in {"count", "number"} else {"==", "!=", "in"})


def _seen(view: View, path: Path) -> Any:
    """What a candidate shows at a path, ``ABSENT`` where it has none."""
    found: Any = view
    for name in path[1:]:
        if not isinstance(found, Mapping) or name not in found:
            return ABSENT
        found = found[name]
    return found


class _Attempt:
    """One search over the grid of some parts of conditions."""

    def __init__(
        self,
        parts: Sequence[Expression],
        patterns: Sequence[str],
        admits: Callable[[View], bool] | None,
        accepts: Callable[[Witness], bool] | None,
        most: int,
    ) -> None:
        self._most = most
        self._accepts = accepts
        self._admits = admits
        self._patterns = patterns
        self._grid = Grid(tuple(a for p in parts for a in p.atoms))
        self._whole = self._grid.whole(patterns)
        self._paths = [
            p for p in dict.fromkeys(itertools.chain.from_iterable(p.facts for p in parts)) if p[0] != CANDIDATE
        ]
        self._of_candidate = {p for part in parts for p in part.facts if p[0] == CANDIDATE}
        self._parts = [(p, compiled(p.text)) for p in parts]
        # A part is asked once all the facts that it reads are assigned.
        self._due: list[list[int]] = [[] for _ in range(len(self._paths) + 1)]
        for n, part in enumerate(parts):
            reads = [i + 1 for i, path in enumerate(self._paths) if path in part.facts]
            self._due[max(reads, default=0)].append(n)
        self._memo: dict[tuple[Any, ...], bool] = {}
        self._verdicts: dict[tuple[tuple[str, Value], ...], bool] = {}
        self._assigned: dict[Path, Any] = {}
        self._tried = 0
        self.questions = 0
        self.fault = ""
        self.witness: Witness | None = None

    @property
    def spent(self) -> bool:
        """Whether it left something untried."""
        return self._tried >= self._most or not self._whole

    def run(self) -> bool:
        """Whether a witness was found."""
        for view in self._grid.views(self._patterns):
            if self._admits is not None and not self._admits(view):
                continue
            self._tried += 1
            self._assigned = {path: _seen(view, path) for path in self._of_candidate}
            if self._holds(0, view) and self._extend(0, view):
                return True
            if self._tried >= self._most:
                return False
        return False

    def _extend(self, depth: int, view: View) -> bool:
        if depth == len(self._paths):
            given = {p: v for p, v in self._assigned.items() if v is not ABSENT and p[0] not in {_FREE, CANDIDATE}}
            witness = Witness({".".join(p): v for p, v in given.items()}, view)
            if self._accepts is not None and not self._accepted(witness):
                return False
            self.witness = witness
            return True
        path = self._paths[depth]
        for value in [True, False] if path[0] == _FREE else self._grid.values(path, self._assigned):
            self._assigned[path] = value
            self._tried += 1
            if self._holds(depth + 1, view) and self._extend(depth + 1, view):
                return True
            if self._tried >= self._most:
                break
        self._assigned.pop(path, None)
        return False

    def _accepted(self, witness: Witness) -> bool:
        """What a caller thinks of a witness's facts, asked once of each."""
        key = tuple(witness.facts.items())
        if self._accepts is not None and key not in self._verdicts:
            self._verdicts[key] = self._accepts(witness)
        return self._verdicts[key]

    def _holds(self, depth: int, view: View) -> bool:
        return all(self._ask(number, view) for number in self._due[depth])

    def _ask(self, number: int, view: View) -> bool:
        part, program = self._parts[number]
        given = [(path, view if path[0] == CANDIDATE else self._assigned[path]) for path in part.facts]
        key = (
            number,
            *(repr(view.get(p[1]) if len(p) > 1 else view) if p[0] == CANDIDATE else repr(v) for p, v in given),
        )
        if key not in self._memo:
            self.questions += 1
            variables: dict[str, Any] = {section: {} for section in (*SECTIONS, _FREE)}
            variables[CANDIDATE] = dict(view)
            for path, value in given:
                if path[0] != CANDIDATE and len(path) > 1 and value is not ABSENT:
                    variables[path[0]][path[1]] = value
            verdict = executed(program, variables)
            self.fault = self.fault or verdict.fault
            self._memo[key] = verdict.holds
        return self._memo[key]
