"""The corpus as Haystack documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from haystack import Document, component

from kistack.plugins.texts import read_texts


@component
class CorpusConverter:
    """Documents of a corpus that have any text, under their own ids, with title, date and part as metadata."""

    @component.output_types(documents=list[Document], empty=int)  # type: ignore[untyped-decorator]
    def run(self, source: str) -> dict[str, Any]:
        """``source`` is the folder of a corpus artifact; ``empty`` says how many of its documents have no text.

        Raises:
            DataError: it is no corpus, or no document in it has any text.

        """
        texts, empty = read_texts(Path(source))
        documents = [
            Document(id=t.id, content=t.text, meta={"title": t.title.strip(), "date": t.date, "part": t.part})
            for t in texts
        ]
        return {"documents": documents, "empty": empty}
