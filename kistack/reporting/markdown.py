"""Blocks as Markdown."""

from __future__ import annotations

from kistack.reporting.blocks import Bullets, Code, Figure, Heading, Page, Paragraph, Side, SideBySide, Table


def render(page: Page) -> str:
    """A page as a Markdown document."""
    parts = []
    for block in page:
        match block:
            case Heading(text, level, _):
                parts.append(f"{'#' * level} {text}")
            case Paragraph(text):
                parts.append(text)
            case Bullets(items, _):
                parts.append("\n".join(f"- {item}" for item in items))
            case Code(text, language, _):
                parts.append(f"```{language}\n{text.rstrip()}\n```")
            case Table():
                parts.append(_table(block))
            case Figure(title, _, table, caption, _):
                parts += [f"**{title}**", _table(table), *([caption] if caption else [])]
            case SideBySide(title, expected, sides):
                parts.append("\n".join([f"**{title}** (expected: {expected})\n", *map(_side, sides)]))
    return "\n\n".join(parts) + "\n"


def _side(side: Side) -> str:
    lines = [f"- {side.name} ({verdict(side)}): {side.text or 'no answer'}"]
    return "\n".join([*lines, *(f"  - {source}" for source in side.sources)])


def verdict(side: Side) -> str:
    """Whether an answer was right, in a word."""
    return "not scored" if side.right is None else "right" if side.right else "wrong"


def _table(table: Table) -> str:
    marks = ["---:" if n in table.numeric else "---" for n in range(len(table.columns))]
    rows = [table.columns, marks, *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + (f"\n\n{table.caption}" if table.caption else "")
