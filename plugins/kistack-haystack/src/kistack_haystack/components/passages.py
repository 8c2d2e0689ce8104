"""Pieces that a splitter of Haystack leaves as passages: named, stripped, with their title where it is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from haystack import Document, component

from kistack.domain.prompt import Passage

Title = Literal["search", "text", "none"]


@component
class PassageNamer:
    """Gives pieces the id of their document, with ``#1``, ``#2``, … behind it from the second on.

    Haystack names a piece by the hash of its text and place, and keeps all that the splitter noted. Here ids are such
    as a reader knows, and metadata is what a passage is told with: ``document``, ``title``, ``date``, ``part``,
    ``position`` (of the piece in its document, from 0), ``start`` (in characters) and ``shown_from``, the characters of
    the content that are searched only.
    """

    def __init__(self, title: Title = "search") -> None:
        self.title = title

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Passages in the order of the pieces; pieces without text are left out."""
        taken = {str(piece.meta["source_id"]) for piece in documents}
        positions: Counter[str] = Counter()
        passages = []
        for piece in documents:
            source, text = str(piece.meta["source_id"]), str(piece.content or "")
            if not text.strip():
                continue
            name = _name(source, positions[source], taken)
            taken.add(name)
            start = int(piece.meta["split_idx_start"]) + len(text) - len(text.lstrip())
            passages.append(self._passage(name, text.strip(), piece.meta, positions[source], start))
            positions[source] += 1
        return {"documents": passages}

    def _passage(self, name: str, text: str, meta: Mapping[str, Any], position: int, start: int) -> Document:
        title = str(meta["title"])
        # A title that the text names already would only make the passage longer.
        added = title if self.title != "none" and title.casefold() not in text.casefold() else ""
        content = f"{added}\n{text}" if added else text
        told = {
            "document": str(meta["source_id"]),
            "title": title,
            "date": meta["date"],
            "part": meta["part"],
            "position": position,
            "start": start,
            "shown_from": len(content) - len(text) if self.title == "search" else 0,
        }
        return Document(id=name, content=content, meta=told)


def _name(source: str, position: int, taken: set[str]) -> str:
    """The id of a passage. A document may be called what the passage of another would be."""
    name = f"{source}#{position}" if position else source
    while position and name in taken:
        name += "+"
    return name


def shown(document: Document) -> str:
    """What of a passage its reader gets."""
    return str(document.content)[int(document.meta["shown_from"]) :]


def told(document: Document) -> Passage:
    """A found document as kistack's passage."""
    return Passage(
        document.id, shown(document), document.meta["document"], document.meta["title"], float(document.score or 0.0)
    )
