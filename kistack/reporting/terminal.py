"""Blocks on a terminal, with rich; plain text where there is none."""

from __future__ import annotations

import io

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as RichTable

from kistack.reporting.blocks import Bullets, Code, Figure, Heading, Page, Paragraph, SideBySide, Table
from kistack.reporting.markdown import verdict


def render(page: Page, console: Console) -> None:
    """Print a page."""
    for block in page:
        match block:
            case Heading(text, level, _):
                style = "bold" if level > 1 else "bold underline"
                console.print()
                console.print(f"[{style}]{escape(text)}[/]")
            case Paragraph(text):
                console.print(escape(text))
            case Bullets(items, _):
                for item in items:
                    console.print(Padding(f"• {escape(item)}", (0, 0, 0, 2)))
            case Code(text, _, _):
                console.print(Padding(escape(text), (0, 0, 0, 4)), highlight=False)
            case Table():
                _table(block, console)
            case Figure():
                _figure(block, console)
            case SideBySide():
                _side_by_side(block, console)


def _figure(figure: Figure, console: Console) -> None:
    console.print(escape(figure.title))
    _table(figure.table, console)
    if figure.caption:
        console.print(Padding(escape(figure.caption), (0, 0, 0, 2)))


def _side_by_side(item: SideBySide, console: Console) -> None:
    console.print(f"[bold]{escape(item.title)}[/]  (expected: {escape(item.expected)})")
    for side in item.sides:
        text = f"{side.name} ({verdict(side)}): {side.text or 'no answer'}"
        console.print(Padding(escape(text), (0, 0, 0, 2)))
        for source in side.sources:
            console.print(Padding(escape(source), (0, 0, 0, 6)))


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
