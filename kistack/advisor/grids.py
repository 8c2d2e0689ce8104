"""The values worth trying for the facts of conditions: one on each boundary of a comparison, and one on each side.

Between two neighbouring boundaries nothing changes, so for comparisons of one fact with constants these values stand
for all others, and a search over them is exhaustive.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kistack.advisor.conditions import CANDIDATE
from kistack.advisor.expressions import Expression, affine
from kistack.advisor.vocabulary import Known, known
from kistack.plugins.stages import TECHNIQUES

Path = tuple[str, ...]
#: A fact that the profile does not have.
ABSENT = object()
#: A text that equals none of those a condition names.
OTHER_TEXT = "something else"
#: What a candidate looks like to a condition that does not ask for more.
PLAIN: Mapping[str, Any] = {
    "techniques": [], "stages": [], "settings": {}, "bits": 16.0, "passages": 0.0, "student_ratio": 1.0,
    "trains_on": [], "trains_on_private": False, "trained_with_passages": False,
}  # fmt: skip
_ORDERED = frozenset({"<", "<=", ">", ">=", "==", "!="})
_FEW = 4  # stages of one kind, or texts of one fact, whose combinations are all tried


def settings_path(path: Path) -> bool:
    """Whether a path names settings of a stage."""
    return path[:2] == (CANDIDATE, "settings") and len(path) > 2  # noqa: PLR2004 - candidate.settings.kind…


class Grid:
    """The values of every fact that some conditions read, given their atoms."""

    def __init__(self, atoms: Iterable[Expression]) -> None:
        self.atoms = tuple(atoms)
        self._turning: dict[Path, list[Expression]] = {}
        for node in (n for atom in self.atoms for n in atom.walk() if n.op in _ORDERED or n.op == "in"):
            for path in node.facts:
                self._turning.setdefault(path, []).append(node)
        self._alone: dict[Path, tuple[float, ...]] = {}

    def values(self, path: Path, assigned: Mapping[Path, Any]) -> list[Any]:
        """The values to try for one fact beside those ``assigned``, ``ABSENT`` last where a profile may lack it."""
        found = known(path)
        if found is None:
            return [ABSENT]
        values = self._present(path, found, assigned)
        return values if found.always else [*values, ABSENT]

    def _present(self, path: Path, found: Known, assigned: Mapping[Path, Any]) -> list[Any]:
        if found.kind == "flag":
            return [True, False]
        if found.kind == "text":
            return list(found.values) or self._texts(path)
        if found.kind == "settings":
            texts = [t for t in self._texts(path) if t != OTHER_TEXT]
            return [*texts, OTHER_TEXT, *self.numbers(path, Known("number", low=-math.inf), assigned), True, False]
        return list(self.numbers(path, found, assigned))

    def _texts(self, path: Path) -> list[str]:
        found: dict[str, None] = {}
        for atom in self.atoms:
            if path not in atom.facts:
                continue
            for node in atom.walk():
                literals = [a.value for a in node.args if a.op == "literal" and isinstance(a.value, str)]
                if node.op == "matches":
                    literals = [text for pattern in literals for text in matching(pattern)]
                elif node.op in {"<", "<=", ">", ">="}:
                    literals = [t for text in literals for t in (text, text[:-1], text + "~")]
                found.update(dict.fromkeys(literals))
        # What two tests ask of one text may both hold for the texts put together.
        found.update(dict.fromkeys(a + b for a, b in itertools.permutations(list(found)[:_FEW], 2)))
        return [*found, OTHER_TEXT, ""]

    def numbers(
        self, path: Path, found: Known, assigned: Mapping[Path, Any], *, alone: bool = False
    ) -> tuple[float, ...]:
        """Boundaries of this fact's comparisons, and a value in every gap between them.

        It is compared with constants, with what is ``assigned``, and (unless ``alone``) with the values of one other
        fact that is still open.
        """
        cuts: set[float] = set()
        odd = False
        for node in self._turning.get(path, ()):
            for given in self._givens(node, path, assigned, alone=alone):
                cut = _boundaries(node, path, given)
                odd = odd or cut is None
                cuts.update(cut or ())
        if odd:
            cuts.update(10.0**n for n in range(-3, 13, 3))
        return _cells(cuts, found)

    def _givens(self, node: Expression, path: Path, assigned: Mapping[Path, Any], *, alone: bool) -> list[Any]:
        """What the other facts of a comparison may be: as assigned, and each value of the one that is open."""
        others = [p for p in node.facts if p != path and p not in assigned] if node.op in _ORDERED else []
        if alone or len(others) != 1:
            return [assigned]
        (other,) = others
        found = known(other)
        if found is None or found.kind not in {"count", "number"}:
            return [assigned]
        if other not in self._alone:
            self._alone[other] = self.numbers(other, found, {}, alone=True)
        return [{**assigned, other: value} for value in self._alone[other]]

    def views(self, patterns: Iterable[str]) -> list[dict[str, Any]]:
        """The candidates to try, the plainest first; ``patterns`` name stages beside those that conditions name."""
        read = {p for atom in self.atoms for p in atom.facts if p[0] == CANDIDATE}
        fields = set(PLAIN) if (CANDIDATE,) in read else {p[1] for p in read}
        named = self._named(patterns)
        found = []
        for size in range(len(TECHNIQUES) + 1):
            for techniques in itertools.combinations(TECHNIQUES, size):
                for stages in _stages(techniques, named):
                    found += self._dressed(stages, fields, read)
        return found

    def _named(self, patterns: Iterable[str]) -> set[str]:
        texts = [n.value for a in self.atoms for n in a.walk() if n.op == "literal" and isinstance(n.value, str)]
        return {_example(p) for p in patterns} | {t for t in texts if re.fullmatch(r"[a-z-]+/\S+", t)} | self._kinds()

    def _kinds(self) -> set[str]:
        """A stage of each kind that conditions name, is no technique of the core's, and is no slip of one either."""
        path = (CANDIDATE, "techniques")
        texts = {
            n.value
            for a in self.atoms
            if path in a.facts
            for n in a.walk()
            if n.op == "literal" and re.fullmatch(r"[a-z][a-z0-9-]*", str(n.value))
        }
        return {f"{t}/x" for t in texts if not difflib.get_close_matches(t, TECHNIQUES, n=1, cutoff=0.75)}

    def whole(self, patterns: Iterable[str]) -> bool:
        """Whether ``views`` leaves out no combination of stages."""
        kinds = Counter(name.partition("/")[0] for name in self._named(patterns))
        rest = sum(n for kind, n in kinds.items() if kind not in TECHNIQUES)
        return max([rest, *(n for kind, n in kinds.items() if kind in TECHNIQUES)], default=0) <= _FEW

    def _dressed(self, stages: Sequence[str], fields: set[str], read: set[Path]) -> list[dict[str, Any]]:
        """All candidates of these stages that could come out of composing."""
        kinds = list(dict.fromkeys(s.partition("/")[0] for s in stages))
        choices: dict[str, list[Any]] = {}
        for name in ("bits", "passages", "student_ratio"):
            path = (CANDIDATE, name)
            asked = {float(PLAIN[name]), *self.numbers(path, _bounds(path), {})} if name in fields else {PLAIN[name]}
            choices[name] = [PLAIN[name], *sorted(asked - {PLAIN[name]})]
        if "retrieve" in kinds:
            choices["passages"] = [p for p in (*choices["passages"], 3.0) if p >= 1 or "passages" in fields]
        else:
            choices["passages"] = [0.0]
        if not stages:
            choices["student_ratio"] = [1.0]
        learns = [k for k in kinds if k != "retrieve"]
        slots = _bounds((CANDIDATE, "trains_on")).values
        choices["trains_on"] = [list(c) for n in range(len(slots) + 1) for c in itertools.combinations(slots, n)]
        if not learns or "trains_on" not in fields:
            choices["trains_on"] = [[]]
        private = learns and "trains_on_private" in fields
        choices["trains_on_private"] = [False, True] if private else [False]
        reads = "retrieve" in kinds and learns and "trained_with_passages" in fields
        choices["trained_with_passages"] = [False, True] if reads else [False]
        choices["settings"] = self._settings([p for p in read if settings_path(p)], kinds)
        base = {"techniques": kinds, "stages": list(stages)}
        return [base | dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]

    def _settings(self, paths: Sequence[Path], kinds: Sequence[str]) -> list[dict[str, Any]]:
        settings: list[dict[str, Any]] = [{kind: {} for kind in kinds}]
        for path in paths:
            if path[2] not in kinds or len(path) != 4:  # noqa: PLR2004 - candidate.settings.kind.name
                continue
            settings = [
                {**s, path[2]: {**s[path[2]], **({} if v is ABSENT else {path[3]: v})}}
                for s in settings
                for v in self.values(path, {})
            ]
        return settings


def _bounds(path: Path) -> Known:
    found = known(path)
    assert found is not None
    return found


def _boundaries(node: Expression, path: Path, assigned: Mapping[Path, Any]) -> set[float] | None:
    """Where a comparison turns as this fact grows; empty where another open fact decides, None where it bends."""
    if node.op == "in" and node.args[0].op == "fact" and node.args[0].value == path and node.args[1].op == "list":
        return {float(n.value) for n in node.args[1].args if _number(n.value)}
    if node.op not in _ORDERED:
        return set()
    others = [p for p in node.facts if p != path]
    if any(not _number(assigned.get(p)) for p in others):
        return set()
    sides = [affine(arg, path, dict(assigned)) for arg in node.args]
    if any(side is None for side in sides):
        texts = any(n.op == "literal" and isinstance(n.value, str) for n in node.walk())
        return set() if texts else None
    (a, b), (c, d) = (side for side in sides if side is not None)
    return {(c - a) / (b - d)} if b != d else set()


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cells(cuts: Iterable[float], found: Known) -> tuple[float, ...]:
    """The cuts within the fact's bounds, its ends, and a value in every gap; whole numbers for counts."""
    low, high = found.low, found.high
    inside = sorted({c for c in cuts if low <= c <= high and math.isfinite(c)})
    first = low if math.isfinite(low) else (min(inside, default=0.0) - 1) * 2
    last = high if math.isfinite(high) else max(2 * max(inside, default=0.5), first + 1, max(inside, default=0) + 1)
    marks = sorted({first, *inside, last})
    gaps = [(a + b) / 2 for a, b in itertools.pairwise(marks)]
    if found.kind != "count":
        return _plain_first({*marks, *gaps}, low)
    near = {turn(v) + step for v in (*marks, *gaps) for turn in (math.floor, math.ceil) for step in (-1, 0, 1)}
    return _plain_first({float(v) for v in near if low <= v <= high}, low)


def _plain_first(values: Iterable[float], low: float) -> tuple[float, ...]:
    """In order, but for the least possible value, which makes odd examples: it comes last."""
    return tuple(sorted(values, key=lambda v: (v == low, v)))


def _stages(techniques: Sequence[str], named: set[str]) -> list[tuple[str, ...]]:
    """The stages that plans of these techniques may have; a kind that is no technique may stand beside them."""
    ways: list[list[tuple[str, ...]]] = []
    for technique in techniques:
        own = sorted(s for s in named if s.startswith(f"{technique}/"))[:_FEW]
        ways.append([(f"{technique}/other",), *_subsets(own)])
    rest = sorted(s for s in named if s.partition("/")[0] not in TECHNIQUES)[:_FEW]
    ways.append([(), *_subsets(rest)])
    return [tuple(itertools.chain.from_iterable(chosen)) for chosen in itertools.product(*ways)]


def _subsets(items: Sequence[str]) -> list[tuple[str, ...]]:
    return [c for n in range(1, len(items) + 1) for c in itertools.combinations(items, n)]


def _example(pattern: str) -> str:
    """A stage's name that fits a rule's pattern."""
    return re.sub(r"\[(.).*?\]", r"\1", pattern).replace("*", "").replace("?", "x").rstrip("/") + (
        "/x" if re.fullmatch(r"[^/]+/\**", pattern) else ""
    )


def matching(pattern: str) -> list[str]:
    """Texts that match a regular expression, one per branch of its first choice; none where it is beyond that."""
    from re import _parser  # type: ignore[attr-defined]  # the standard library's own reader of patterns

    try:
        tree = _parser.parse(re.sub(r"^\(\?[a-z]+\)", "", pattern))
    except re.error:
        return []
    found = [text for text in _written(list(tree)) if re.search(pattern, text)]
    return list(dict.fromkeys(found))


_MANY = 8  # texts per pattern


def _written(parts: Sequence[Any]) -> list[str]:
    texts = [""]
    for op, value in parts:
        name = str(op)
        if name == "LITERAL":
            piece = [chr(value)]
        elif name == "IN":
            piece = [_member(value)]
        elif name == "NOT_LITERAL":
            piece = ["x" if value != ord("x") else "y"]
        elif name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            least, _, inner = value
            piece = [text * least for text in _written(list(inner))]
        elif name == "SUBPATTERN":
            piece = _written(list(value[-1]))
        elif name == "BRANCH":
            piece = [text for branch in value[1] for text in _written(list(branch))]
        else:
            piece = ["x"] if name == "ANY" else [""]
        texts = [a + b for a in texts for b in piece][:_MANY]
    return texts


def _member(members: Sequence[Any]) -> str:
    """A character of a class, or one that is likely to be out of one that is denied."""
    classes = {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}
    for op, value in members:
        name = str(op)
        if name == "NEGATE":
            return "~"
        if name == "LITERAL":
            return chr(value)
        if name == "RANGE":
            return chr(value[0])
        if name == "CATEGORY" and str(value) in classes:
            return classes[str(value)]
    return "x"
