"""The demo's documents: one sentence per fact, as a release desk would note it.

Small models read single sentences far better than tables, and a retriever finds them exactly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from kistack.demo.releases import LATEST, ReleaseFact, facts_as_of
from kistack.demo.wordings import NOTES, choose


@dataclass(frozen=True, slots=True)
class Document:
    """A one-sentence document. ``date`` (ISO) is when the desk first noted it in this form."""

    id: str
    title: str
    text: str
    date: str

    def to_json(self) -> dict[str, str]:
        """The record as it stands in the documents' files."""
        return asdict(self)


def write_note(fact: ReleaseFact) -> str:
    """The sentence for a fact. Its wording depends on the product, never on the value or the date."""
    wording = choose(NOTES[fact.kind], f"notes on {fact.product}")
    return wording.format(title=fact.title, cycle=fact.cycle, value=fact.value)


def documents_as_of(date: str = LATEST) -> dict[str, tuple[Document, ...]]:
    """The documents as they stood at ``date`` (ISO), by product.

    Raises:
        DataError: it is not a date, or lies before the first of the table.

    """
    documents: dict[str, tuple[Document, ...]] = {}
    for fact in facts_as_of(date):
        document = Document(fact.id, fact.title, write_note(fact), fact.since)
        documents[fact.product] = (*documents.get(fact.product, ()), document)
    return documents
