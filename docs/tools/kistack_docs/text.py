"""Markdown out of plain values: tables, code spans, docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written from the code by docs/tools/kistack_docs (make reference). Edit the code, not this page. -->"


def page(title: str, opening: str, blocks: Iterable[str]) -> str:
    """A whole page; empty blocks are left out."""
    return "\n\n".join(b.strip("\n") for b in (NOTICE, f"# {title}", opening, *blocks) if b) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns without any content are left out, and no rows make no table."""
    listed = [tuple(row) for row in rows]
    if not listed:
        return ""
    kept = [n for n, _ in enumerate(head) if any(row[n] for row in listed)]
    lines = [[head[n] for n in kept], ["---"] * len(kept), *([cell(row[n]) for n in kept] for row in listed)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    """Text that does not break a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: object) -> str:
    """A code span, also of text that holds a backtick."""
    shown = str(text)
    return f"`` {shown} ``" if "`" in shown else f"`{shown}`"


def anchor(heading: str) -> str:
    """The anchor that the site gives a heading (Python-Markdown's toc, which GitHub's agrees with here)."""
    kept = re.sub(r"[^\w\s-]", "", heading).strip().lower()
    return re.sub(r"[-\s]+", "-", kept)


def paragraphs(docstring: str | None) -> list[str]:
    """The paragraphs of a docstring without its sections (Args, Returns, Raises), reST literals as code spans."""
    text = inspect.cleandoc(docstring or "")
    text = re.split(r"^(?:Args|Returns|Raises|Yields|Attributes):\s*$", text, maxsplit=1, flags=re.MULTILINE)[0]
    return [prose(p) for p in re.split(r"\n\s*\n", text) if p.strip()]


def prose(text: str) -> str:
    """One paragraph of a docstring as Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))


def sentence(docstring: str | None) -> str:
    """The first paragraph of a docstring."""
    found = paragraphs(docstring)
    return found[0] if found else ""


def raises(docstring: str | None) -> list[tuple[str, str]]:
    """What a docstring's ``Raises`` section names: the error and when."""
    found = re.search(r"^Raises:\s*\n((?:[ \t]+.*\n?|\s*\n)+)", inspect.cleandoc(docstring or ""), re.MULTILINE)
    entries: list[tuple[str, str]] = []
    for line in (found[1] if found else "").splitlines():
        named = re.match(r"\s{1,4}([A-Z]\w+(?:, [A-Z]\w+)*): (.*)", line)
        if named:
            entries.append((named[1], named[2]))
        elif entries and line.strip():
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {line.strip()}")
    return [(name, prose(when)) for name, when in entries]
