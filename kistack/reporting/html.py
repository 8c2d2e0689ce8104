"""Blocks as one HTML file that needs nothing beside it: no network, no script, no other file."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib import resources

from kistack.reporting.blocks import Bullets, Code, Figure, Heading, Page, Paragraph, Side, SideBySide, Table
from kistack.reporting.markdown import verdict

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(page: Page, title: str = "") -> str:
    """A page as an HTML document; ``title`` is the window's (default: the first heading's).

    Links that begin with ``#`` lead to anchors in the document, others to files.
    """
    name = title or next((b.text for b in page if isinstance(b, Heading)), "kistack")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        # Without it a browser asks for an icon of the site.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(name)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
        f"{_contents(page)}<main>\n" + "\n".join(map(_block, page)) + "\n</main>\n</body>\n</html>\n"
    )


@cache
def _style() -> str:
    return resources.files("kistack.reporting").joinpath("report.css").read_text(encoding="utf-8")


def _contents(page: Page) -> str:
    """Links to the parts of a long page."""
    parts = [b for b in page if isinstance(b, Heading) and b.level == 2 and b.anchor]  # noqa: PLR2004 - the parts
    if len(parts) < 3:  # noqa: PLR2004 - a short page is its own table of contents
        return ""
    items = "".join(f'<li><a href="#{escape(h.anchor)}">{escape(h.text)}</a></li>' for h in parts)
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>\n'


def _block(block: object) -> str:
    match block:
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)
        case SideBySide():
            return _side_by_side(block)
        case _:
            return _words(block)


def _words(block: object) -> str:
    match block:
        case Heading(text, level, anchor):
            name = f' id="{escape(anchor)}"' if anchor else ""
            return f"<h{level}{name}>{escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Bullets(items, links):
            return "<ul>" + "".join(f"<li>{_linked(t, links.get(n, ''))}</li>" for n, t in enumerate(items)) + "</ul>"
        case Code(text, _, summary):
            code = f"<pre><code>{escape(text.rstrip())}</code></pre>"
            return f"<details><summary>{escape(summary)}</summary>{code}</details>" if summary else code
        case _:
            raise TypeError(f"no such block: {type(block).__name__}")


def _figure(figure: Figure) -> str:
    caption = f"<p>{escape(figure.caption)}</p>" if figure.caption else ""
    table = _table(figure.table)
    if figure.folded:
        table = f"<details><summary>The numbers of this plot</summary>{table}</details>"
    return f"<figure><figcaption>{escape(figure.title)}{caption}</figcaption>\n{figure.svg}\n{table}</figure>"


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_numeric(table, n)}>{escape(c)}</th>' for n, c in enumerate(table.columns))
    rows = []
    for number, row in enumerate(table.rows):
        anchor = table.anchors[number] if number < len(table.anchors) else ""
        name = f' id="{escape(anchor)}"' if anchor else ""
        cells = "".join(_cell(table, number, column, text) for column, text in enumerate(row))
        rows.append(f"<tr{name}>{cells}</tr>")
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption or table.columns[0])}">'
        f"<table>{caption}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _cell(table: Table, row: int, column: int, text: str) -> str:
    link = table.links.get((row, column), "")
    inner = _linked(text, link)
    # The first cell names its row, which is how a screen reader tells the others.
    if column == 0:
        return f'<th scope="row"{_numeric(table, column)}>{inner}</th>'
    return f"<td{_numeric(table, column)}>{inner}</td>"


def _linked(text: str, link: str) -> str:
    return f'<a href="{escape(link)}">{escape(text)}</a>' if link else escape(text)


def _numeric(table: Table, column: int) -> str:
    return ' class="number"' if column in table.numeric else ""


def _side_by_side(item: SideBySide) -> str:
    sides = "".join(map(_side, item.sides))
    return (
        f'<section class="item"><h4>{escape(item.title)}</h4><p>Expected: <b>{escape(item.expected)}</b></p>'
        f'<div class="sides">{sides}</div></section>'
    )


def _side(side: Side) -> str:
    told = verdict(side)
    sources = "".join(f"<li>{escape(source)}</li>" for source in side.sources)
    listed = f"<ol>{sources}</ol>" if sources else "<p>no sources</p>"
    return (
        f'<div class="side {told.replace(" ", "-")}"><p><b>{escape(side.name)}</b> '
        f'<span class="verdict">{told}</span></p><p class="answer">{escape(side.text or "no answer")}</p>'
        f"<details><summary>Sources ({len(side.sources)})</summary>{listed}</details></div>"
    )
