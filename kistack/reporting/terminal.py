"""Blocks on a terminal, with rich; plain text where there is none."""

from __future__ import annotations

import io

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as RichTable

from kistack.reporting.blocks import Bullets, Code, Heading, Page, Paragraph, Table


def render(page: Page, console: Console) -> None:
    """Print a page."""
    for block in page:
        match block:
            case Heading(text, level):
                style = "bold" if level > 1 else "bold underline"
                console.print()
                console.print(f"[{style}]{escape(text)}[/]")
            case Paragraph(text):
                console.print(escape(text))
            case Bullets(items):
                for item in items:
                    console.print(Padding(f"• {escape(item)}", (0, 0, 0, 2)))
            case Code(text, _):
                console.print(Padding(escape(text), (0, 0, 0, 4)), highlight=False)
            case Table():
                _table(block, console)


def _table(table: Table, console: Console) -> None:
    drawn = RichTable(box=None, pad_edge=False, header_style="dim", caption=table.caption or None)
    for position, name in enumerate(table.columns):
        drawn.add_column(escape(name), justify="right" if position in table.numeric else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(escape(cell) for cell in row))
    console.print(Padding(drawn, (0, 0, 0, 2)))


def as_text(page: Page, width: int = 100) -> str:
    """A page as plain text of so many columns."""
    text = io.StringIO()
    render(page, Console(file=text, width=width, no_color=True, highlight=False, force_terminal=False))
    return text.getvalue()
