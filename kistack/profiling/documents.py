"""Reading documents out of files: text, Markdown, reStructuredText, HTML, JSON, JSON lines and CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

from kistack.domain.yamlfile import plain_yaml
from kistack.units import UnitError, parse_date

#: How each file format is read; the keys are the accepted endings.
TEXT, MARKUP, HTML, JSON, JSONL, CSV = "text", "markup", "html", "json", "jsonl", "csv"
FORMATS: dict[str, str] = {
    ".txt": TEXT,
    ".text": TEXT,
    ".md": MARKUP,
    ".markdown": MARKUP,
    ".rst": MARKUP,
    ".html": HTML,
    ".htm": HTML,
    ".json": JSON,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".csv": CSV,
}

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_HEADING = re.compile(r"^\s*#{1,2}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(\w.*)\n(={3,}|-{3,}|~{3,})\s*$", re.MULTILINE)
_DATE_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_DATE_KEYS = ("date", "updated", "last_modified", "modified", "lastmod", "published", "created", "timestamp")


@dataclass(frozen=True, slots=True)
class Document:
    """One document. ``path`` is relative to its part's folder, ``date`` when it was last changed or published."""

    id: str
    title: str
    text: str
    date: dt.date | None = None
    part: str = ""
    path: str = ""

    def to_json(self) -> dict[str, Any]:
        """One row of ``corpus.jsonl``."""
        date = self.date.isoformat() if self.date else None
        return {
            "id": self.id,
            "title": self.title,
            "text": self.text,
            "date": date,
            "part": self.part,
            "path": self.path,
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file (or one record of it, ``name:line``) that was not read, and why."""

    path: str
    reason: str


def read_file(path: Path, name: str) -> Iterator[Document | Skipped]:
    """The documents of one file, named ``name``, or why there are none. Never raises for what a file may hold."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        yield Skipped(name, f"files ending in {path.suffix!r} are not read" if path.suffix else "no known file ending")
        return
    text = _text_of(path)
    if isinstance(text, Skipped):
        yield Skipped(name, text.reason)
        return
    if not text.strip():
        yield Skipped(name, "empty")
        return
    date = date_in_name(name)
    if kind in {JSON, JSONL, CSV}:
        yield from _records(kind, text, name, date)
    elif kind == HTML:
        page = _Page()
        page.feed(text)
        page.close()
        yield _checked(Document(name, page.title or path.stem, page.text, page.date or date, path=name))
    else:
        yield _checked(_plain(kind, text, path.stem, name, date))


def _text_of(path: Path) -> str | Skipped:
    try:
        data = path.read_bytes()
    except OSError as error:
        return Skipped("", f"cannot be read: {error.strerror or error}")
    if b"\0" in data[:8192]:
        return Skipped("", "binary")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        return Skipped("", f"not UTF-8 text (byte {error.start})")


def _checked(document: Document) -> Document | Skipped:
    return document if document.text.strip() else Skipped(document.path, "no text in it")


def date_in_name(name: str) -> dt.date | None:
    """The last date that stands in a file's name or folders (``notes/2024-07-01.md``, ``log_20240701.txt``)."""
    for match in reversed(list(_DATE_IN_NAME.finditer(name))):
        try:
            return dt.date(int(match[1]), int(match[3]), int(match[4]))
        except ValueError:
            continue
    return None


def _date(value: object) -> dt.date | None:
    try:
        return parse_date(value)
    except UnitError:
        return None


def _plain(kind: str, text: str, stem: str, name: str, date: dt.date | None) -> Document:
    header: Mapping[str, Any] = {}
    if match := _FRONT_MATTER.match(text):
        try:
            header = plain_yaml(match[1])
        except (yaml.YAMLError, ValueError):
            header = {}
        if isinstance(header, dict):
            text = text[match.end() :]
        else:
            header = {}
    title = str(header.get("title") or "")
    if not title and kind == MARKUP:
        found = _HEADING.search(text) or _UNDERLINED.search(text)
        title = found[1] if found else ""
    dates = (_date(header[key]) for key in _DATE_KEYS if key in header)
    own = next((d for d in dates if d is not None), None)
    return Document(name, title or stem, text.strip(), own or date, path=name)


# --- records: JSON, JSON lines, CSV


def _records(kind: str, text: str, name: str, date: dt.date | None) -> Iterator[Document | Skipped]:
    if kind == CSV:
        yield from _rows(text, name, date)
        return
    if kind == JSONL:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield _json_record(line, f"{name}:{number}", f"{name}#{number}", name, date)
        return
    try:
        content = json.loads(text)
    except ValueError as error:
        yield Skipped(name, f"not JSON: {error}")
        return
    if isinstance(content, list):
        for number, item in enumerate(content, 1):
            yield _record(item, f"{name}[{number - 1}]", f"{name}#{number}", name, date)
    else:
        yield _record(content, name, name, name, date)


def _json_record(line: str, where: str, default: str, name: str, date: dt.date | None) -> Document | Skipped:
    try:
        return _record(json.loads(line), where, default, name, date)
    except ValueError as error:
        return Skipped(where, f"not JSON: {error}")


def _record(item: object, where: str, default: str, name: str, date: dt.date | None) -> Document | Skipped:
    if not isinstance(item, Mapping) or not isinstance(item.get("text"), str):
        return Skipped(where, 'no "text"')
    if not item["text"].strip():
        return Skipped(where, "empty text")
    own = next((d for d in (_date(item[k]) for k in _DATE_KEYS if item.get(k)) if d is not None), None)
    given = item.get("id")
    ident = str(given) if given not in {None, ""} else default
    return Document(ident, str(item.get("title") or ident), item["text"].strip(), own or date, path=name)


def _rows(text: str, name: str, date: dt.date | None) -> Iterator[Document | Skipped]:
    """Rows of a CSV file: with a ``text`` column as records, without one as ``column: value`` lines."""
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a whole document may stand in one cell
    try:
        reader = csv.DictReader(io.StringIO(text), strict=True)
        for number, row in enumerate(reader, 2):
            cells = {k: v for k, v in row.items() if isinstance(k, str) and isinstance(v, str) and v.strip()}
            if "text" not in cells:
                if "text" in (reader.fieldnames or ()):
                    yield Skipped(f"{name}:{number}", "empty text")
                    continue
                cells = {**cells, "text": "; ".join(f"{k}: {v}" for k, v in cells.items() if k != "id")}
            yield _record(cells, f"{name}:{number}", f"{name}#{number - 1}", name, date)
    except csv.Error as error:
        yield Skipped(name, f"not CSV: {error}")


# --- HTML

_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "head"})
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figcaption", "footer", "form"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section"),
        *("table", "td", "th", "tr", "ul"),
    )
)
_META_DATES = frozenset(
    {"date", "last-modified", "article:modified_time", "article:published_time", "dcterms.modified"}
)


class _Page(HTMLParser):
    """Visible text, title and date of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.date: dt.date | None = None
        self._pieces: list[str] = []
        self._hidden: list[str] = []
        self._in_title = False
        self._preformatted = 0

    @property
    def text(self) -> str:
        lines = (" ".join(line.split()) for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = not self.title
        elif tag == "meta":
            values = dict(attrs)
            name = (values.get("name") or values.get("property") or values.get("http-equiv") or "").lower()
            if name in _META_DATES and self.date is None:
                self.date = _date(values.get("content"))
        elif tag == "body":  # a page may leave </head> out
            self._hidden.clear()
        elif tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BLOCKS:
            self._preformatted += tag == "pre"
            self._pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in _BLOCKS:
            self._preformatted = max(0, self._preformatted - (tag == "pre"))
            self._pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = " ".join(f"{self.title} {data}".split())
        elif not self._hidden:
            self._pieces.append(data if self._preformatted else data.replace("\n", " "))
