"""The index of papers: what policies, effects, tables and formulas cite, and where each is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kistack_docs.text import cell, code, page

ROOT = Path(__file__).resolve().parents[3]

OPENING = """\
Everything that kistack's advice and its formulas rest on, from `policies/`, `kistack/data/` and the code: what
is cited, what is taken from it, and where that is used. An effect is what a technique changes, a rule is one of
a policy. What this project measured itself stands at the end, with its circumstances in [the log](log.md)."""

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_OWN = re.compile(r"measured with this project|^measured\b")
#: The parser in C where PyYAML has it: the files are long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Tables in which every row names the source of its figures: told as a whole.
_TABLES = ("devices", "bench_devices", "models", "out_of_memory")


@dataclass(frozen=True)
class Use:
    """One citation: its text, and what cites it."""

    text: str
    where: str


def papers_page() -> str:
    """Papers by arXiv number, newest last; then what has no number; then the project's own measurements."""
    papers: dict[str, list[Use]] = {}
    others: dict[str, list[Use]] = {}
    own: list[Use] = []
    for use in _every():
        if _OWN.search(use.text):
            own.append(use)
        elif numbers := _ARXIV.findall(use.text):
            for number in numbers:
                papers.setdefault(number, []).append(use)
        elif not any(use.where == code(f"kistack/data/{table}.yaml") for table in _TABLES):
            others.setdefault(_label(use.text), []).append(use)
    titles = _titles()
    blocks = ["## Papers"]
    for number, uses in sorted(papers.items()):
        title = titles.get(number) or max((_before(u.text, number) for u in uses), key=len)
        blocks.append(f"**{title}**, [arXiv:{number}](https://arxiv.org/abs/{number})\n\n{_taken(uses, number)}")
    blocks.append("## Other sources")
    blocks += ["\n".join(f"- {cell(label)}: {_places(uses)}" for label, uses in sorted(others.items()))]
    tables = ", ".join(code(f"kistack/data/{name}.yaml") for name in _TABLES)
    blocks.append(f"Rows of {tables} and `kistack/data/gpus.csv` name the data sheet or configuration of each figure.")
    blocks += ["## Measured by this project", "\n".join(dict.fromkeys(f"- {cell(u.text)}: {u.where}" for u in own))]
    return page("Papers and other sources", OPENING, blocks)


def cited_numbers() -> set[str]:
    """The arXiv numbers of everything that is cited."""
    return {n for use in _every() for n in _ARXIV.findall(use.text)}


@cache
def _every() -> tuple[Use, ...]:
    return (*_cited(), *_cited_in_code())


def _titles() -> dict[str, str]:
    # Numbers such as 2401.00448 are floats to YAML unless they are read as text.
    text = Path(__file__).with_name("titles.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^(\d{4}\.\d{4,5}): (.+)$", text, re.MULTILINE))


def _cited() -> Iterator[Use]:
    """Every source that a data file names."""
    for path in sorted([*(ROOT / "policies").glob("*.yaml"), *(ROOT / "kistack" / "data").glob("*.yaml")]):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one
        yield from _walk(document, path.relative_to(ROOT).as_posix(), "")


def _walk(node: Any, file: str, name: str) -> Iterator[Use]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, file, name)
    elif isinstance(node, dict):
        own = str(node.get("id") or name)
        for key, value in node.items():
            if key in {"source", "sources"}:
                listed = value if isinstance(value, list) else [value]
                yield from (Use(" ".join(str(text).split()), _place(file, own)) for text in listed)
            else:
                inner = key if isinstance(value, dict) else own
                yield from _walk(value, file, inner)


def _place(file: str, name: str) -> str:
    if file.startswith("policies/"):
        return f"rule {code(name)}"
    if file.endswith("effects.yaml"):
        return f"effect {code(name)}"
    return code(file)


def _cited_in_code() -> Iterator[Use]:
    """Citations in docstrings and comments of formulas and stages."""
    sources = sorted([*(ROOT / "kistack").rglob("*.py"), *(ROOT / "plugins").glob("*/src/**/*.py")])
    for path in sources:
        for line in path.read_text(encoding="utf-8").splitlines():
            for number in dict.fromkeys(_ARXIV.findall(line)):
                yield Use(f"arXiv:{number}", code(path.relative_to(ROOT).as_posix()))


def _label(text: str) -> str:
    """A source without what is taken from it, which stands in parentheses at the end."""
    found = re.fullmatch(r"(.*?),? \((?!EU\)).*\)", text)
    return found[1] if found else text


def _before(text: str, number: str) -> str:
    return text.partition(f"arXiv:{number}")[0].rstrip(", (").rpartition("; ")[2] or f"arXiv:{number}"


def _taken(uses: list[Use], number: str) -> str:
    """What is taken from a paper, each with the places that use it."""
    taken: dict[str, list[str]] = {}
    for use in uses:
        after = use.text.partition(f"arXiv:{number}")[2].strip()
        inner = re.fullmatch(r"\((.*)\)", after)
        what = inner[1] if inner else after.lstrip(":;, ")
        taken.setdefault(what, []).append(use.where)
    lines = []
    for what, places in sorted(taken.items()):
        where = ", ".join(dict.fromkeys(places))
        lines.append(f"- {cell(what)}: {where}" if what else f"- {where}")
    return "\n".join(lines)


def _places(uses: list[Use]) -> str:
    return ", ".join(dict.fromkeys(u.where for u in uses))
