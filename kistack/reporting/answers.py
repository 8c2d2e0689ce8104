"""An answer with its sources."""

from __future__ import annotations

from typing import Any

from kistack.bundle.opening import Answer
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph
from kistack.reporting.numbers import shown


def answer_page(answer: Answer) -> Page:
    """Question, answer, and the numbered passages."""
    page: list[Block] = [Heading(answer.question), Paragraph(f"{answer.text}  ({shown(answer.seconds, 's')})")]
    if answer.passages:
        page.append(Bullets(tuple(f"[{n}] {p.text} ({p.document})" for n, p in enumerate(answer.passages, 1))))
    return page


def answer_document(answer: Answer) -> dict[str, Any]:
    """The answer as a JSON document."""
    return {
        "question": answer.question,
        "text": answer.text,
        "seconds": answer.seconds,
        "passages": [
            {"id": p.id, "document": p.document, "title": p.title, "text": p.text, "score": p.score}
            for p in answer.passages
        ],
    }
