"""What a report is made of: a few kinds of blocks that every format can render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the report's own. ``anchor`` is what links within a document lead to."""

    text: str
    level: int = 2
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list of lines; ``links`` lead from a line (from 0) to an anchor."""

    items: tuple[str, ...]
    links: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``numeric`` are the columns set flush right.

    ``links`` lead from a cell (row, column, both from 0) to an anchor (``#…``) or a file, ``anchors`` are those of the
    rows. Only documents that can be clicked show them.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""
    links: Mapping[tuple[int, int], str] = field(default_factory=dict)
    anchors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to be copied: commands, YAML. Where a document can fold, they lie under ``summary`` if there is one."""

    text: str
    language: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing (SVG) with its numbers in a table; formats that cannot draw show the table alone.

    ``folded``: where a document can fold, the table is shown on demand.
    """

    title: str
    svg: str
    table: Table
    caption: str = ""
    folded: bool = True


@dataclass(frozen=True, slots=True)
class Side:
    """One system's answer to an item: whether it was right (None: not told), and the sources it was given."""

    name: str
    text: str
    right: bool | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One item answered by several systems."""

    title: str
    expected: str
    sides: tuple[Side, ...]


Block = Heading | Paragraph | Bullets | Table | Code | Figure | SideBySide
Page = Sequence[Block]
