"""The syntax of conditions: CEL read into a tree whose nodes know their text, so that parts can be judged apart.

Grammar: github.com/google/cel-spec, doc/langdef.md. What evaluates conditions is the compiled CEL, never this tree.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kistack.errors import InputError

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<comment>//[^\n]*)
      | (?P<string>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>\|\||&&|<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!=", "in"})
_BINARY: tuple[frozenset[str], ...] = (
    frozenset({"||"}),
    frozenset({"&&"}),
    _COMPARISONS,
    frozenset({"+", "-"}),
    frozenset({"*", "/", "%"}),
)
#: Calls whose first argument names a variable of their own.
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_LITERALS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Expression:
    """A node: ``op`` is an operator, ``literal``, ``fact``, ``has``, ``list``, ``map``, ``index`` or a call's name.

    ``value`` is a literal's value, or the path of a fact: ``("pairs", "train")``. ``text`` is as it is written, and
    ``start`` where that begins in the condition. ``facts`` are the paths that it and all below it read or ask ``has``
    of.
    """

    op: str
    args: tuple[Expression, ...]
    text: str
    start: int
    value: Any = None
    facts: tuple[tuple[str, ...], ...] = ()

    def walk(self) -> Iterator[Expression]:
        """The node and all below it."""
        yield self
        for arg in self.args:
            yield from arg.walk()

    @property
    def conjuncts(self) -> tuple[Expression, ...]:
        """The parts that must all hold."""
        if self.op == "&&":
            return tuple(c for arg in self.args for c in arg.conjuncts)
        return (self,)

    @property
    def atoms(self) -> tuple[Expression, ...]:
        """The parts between logical operators: each is true, false or a fault by itself."""
        if self.op in {"&&", "||", "!", "?"}:
            return tuple(a for arg in self.args for a in arg.atoms)
        return (self,)


def parse(text: str) -> Expression:
    """The tree of a condition.

    Raises:
        InputError: it is not CEL as this reader knows it.
    """
    parser = _Parser(text)
    found = parser.condition()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int, int]] = []
        self.bound: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                raise InputError(f"cannot read {text[at:].strip()[:20]!r} in a condition", "write it in plain CEL")
            kind = found.lastgroup
            if kind != "comment":
                self.tokens.append((kind, found[kind], found.start(kind), found.end()))
            at = found.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        found = self.peek()
        if not found or (wanted and found != wanted):
            raise InputError(f"condition lacks {wanted or 'something'} before {found or 'its end'!r}", "mend it")
        self.at += 1
        return found

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise InputError(f"condition goes on with {self.peek()!r}", "join its parts by && or ||")

    def node(self, op: str, args: tuple[Expression, ...], first: int, value: Any = None) -> Expression:
        start, end = self.tokens[first][2], self.tokens[self.at - 1][3]
        own = (value,) if op in {"fact", "has"} else ()
        facts = tuple(dict.fromkeys(itertools.chain(own, *(a.facts for a in args))))
        return Expression(op, args, self.text[start:end], start, value, facts)

    def condition(self) -> Expression:
        first = self.at
        found = self.binary(0)
        if self.peek() != "?":
            return found
        self.take()
        yes = self.binary(0)
        self.take(":")
        return self.node("?", (found, yes, self.condition()), first)

    def binary(self, level: int) -> Expression:
        if level == len(_BINARY):
            return self.unary()
        first = self.at
        left = self.binary(level + 1)
        while self.peek() in _BINARY[level] and self.kind() != "string":
            op = self.take()
            left = self.node(op, (left, self.binary(level + 1)), first)
        return left

    def unary(self) -> Expression:
        first = self.at
        if self.kind() == "mark" and self.peek() in {"!", "-"}:
            op = self.take()
            inner = self.unary()
            if op == "-" and inner.op == "literal" and isinstance(inner.value, int | float):
                return self.node("literal", (), first, -inner.value)
            return self.node("!" if op == "!" else "negative", (inner,), first)
        return self.member()

    def member(self) -> Expression:
        first = self.at
        found = self.primary()
        while self.peek() in {".", "["} and self.kind() == "mark":
            if self.take() == "[":
                inside = self.condition()
                self.take("]")
                found = self.node("index", (found, inside), first)
                continue
            name = self.take()
            if self.peek() == "(":
                found = self.node(name, (found, *self.arguments(name in MACROS)), first)
            elif found.op == "fact":
                found = self.node("fact", (), first, (*found.value, name))
            else:
                found = self.node("select", (found,), first, name)
        return found

    def arguments(self, macro: bool = False) -> tuple[Expression, ...]:
        self.take("(")
        if macro and self.kind() == "name":
            self.bound.append(self.peek())
        found = []
        while self.peek() != ")":
            found.append(self.condition())
            if self.peek() != ")":
                self.take(",")
        self.take(")")
        if macro:
            self.bound.pop()
        return tuple(found)

    def primary(self) -> Expression:
        first = self.at
        kind, text = self.kind(), self.take()
        if kind == "string":
            body = text.lstrip("rRbB")
            raw = "r" in text[: len(text) - len(body)].lower()
            return self.node("literal", (), first, ast.literal_eval(("r" if raw else "") + body))
        if kind == "number":
            return self.node("literal", (), first, _number(text))
        if text == "(":
            found = self.condition()
            self.take(")")
            return self.node(found.op, found.args, first, found.value)
        if text in {"[", "{"}:
            return self.collection(first, text)
        if kind == "name":
            return self.named(first, text)
        raise InputError(f"condition has {text!r} where a value should stand", "mend it")

    def named(self, first: int, text: str) -> Expression:
        if text in _LITERALS:
            return self.node("literal", (), first, _LITERALS[text])
        if self.peek() == "(":
            args = self.arguments()
            if text == "has" and len(args) == 1 and args[0].op == "fact":
                return self.node("has", (), first, args[0].value)
            return self.node(text, args, first)
        return self.node("variable" if text in self.bound else "fact", (), first, (text,))

    def collection(self, first: int, opened: str) -> Expression:
        closed = "]" if opened == "[" else "}"
        items = []
        while self.peek() != closed:
            items.append(self.condition())
            if self.peek() in {",", ":"}:
                self.take()
        self.take(closed)
        return self.node("list" if opened == "[" else "map", tuple(items), first)


def _number(text: str) -> float:
    bare = text.rstrip("uU")
    return float(int(bare, 16)) if bare[:2] in {"0x", "0X"} else float(bare)


def affine(node: Expression, path: tuple[str, ...], known: Mapping[tuple[str, ...], Any]) -> tuple[float, float] | None:
    """``(a, b)`` where the node is ``a + b * x`` with ``x`` the fact at ``path`` and the other facts as ``known``.

    None where it is not of that form, or another fact is no number.
    """
    if node.op == "fact" and node.value == path:
        return 0.0, 1.0
    if node.op in {"literal", "fact"}:
        value: Any = node.value if node.op == "literal" else known.get(node.value)
        return (float(value), 0.0) if _is_number(value) else None
    found = [affine(arg, path, known) for arg in node.args]
    parts = [p for p in found if p is not None]
    if not parts or len(parts) < len(found):
        return None
    if len(parts) == 1:
        a, b = parts[0]
        return {"negative": (-a, -b), "double": (a, b)}.get(node.op)
    return _combined(node.op, *parts) if len(parts) == 2 else None  # noqa: PLR2004 - binary operators


def _combined(op: str, left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float] | None:
    (a, b), (c, d) = left, right
    if op == "+":
        return a + c, b + d
    if op == "-":
        return a - c, b - d
    if op == "*" and (not b or not d):
        return a * c, a * d + b * c
    if op == "/" and not d and c:
        return a / c, b / c
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
