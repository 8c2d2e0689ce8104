"""Blocks as Markdown."""

from __future__ import annotations

from kistack.reporting.blocks import Bullets, Code, Heading, Page, Paragraph, Table


def render(page: Page) -> str:
    """A page as a Markdown document."""
    parts = []
    for block in page:
        match block:
            case Heading(text, level):
                parts.append(f"{'#' * level} {text}")
            case Paragraph(text):
                parts.append(text)
            case Bullets(items):
                parts.append("\n".join(f"- {item}" for item in items))
            case Code(text, language):
                parts.append(f"```{language}\n{text.rstrip()}\n```")
            case Table():
                parts.append(_table(block))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    marks = ["---:" if n in table.numeric else "---" for n in range(len(table.columns))]
    rows = [table.columns, marks, *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + (f"\n\n{table.caption}" if table.caption else "")
