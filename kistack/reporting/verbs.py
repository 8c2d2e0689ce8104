"""The verb of the Python API that renders anything kistack returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

from kistack.bundle.archive import kept_record
from kistack.bundle.opening import Answer
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.facts import Profile
from kistack.domain.records import RunRecord
from kistack.errors import InputError
from kistack.reporting import html, markdown, terminal
from kistack.reporting.advice import advice_document, advice_page
from kistack.reporting.answers import answer_document, answer_page
from kistack.reporting.blocks import Page
from kistack.reporting.evidence import Evidence, gather
from kistack.reporting.plans import check_page
from kistack.reporting.profiles import profile_page
from kistack.reporting.provenance import Places
from kistack.reporting.run_report import full_document, full_page

Other = Profile | Recommendation | Pipeline | Answer
Subject = Other | RunRecord
Format = Literal["text", "md", "json", "html"]
FORMATS: tuple[str, ...] = get_args(Format)


def report(subject: Subject, format: Format = "text", *, width: int = 120) -> str:  # noqa: A002 - the reader's word
    """A profile, a recommendation, a pipeline, a run or an answer as text, Markdown, JSON or one HTML file.

    Raises:
        InputError: an unknown format.
    """
    if isinstance(subject, RunRecord):
        return report_run(gather(kept_record(subject)), format, width=width)
    if format == "json":
        return json.dumps(_document(subject), indent=2, ensure_ascii=False)
    return _rendered(_page(subject), format, width)


def report_run(evidence: Evidence, format: Format, *, base: Path | None = None, width: int = 120) -> str:  # noqa: A002
    """A run with all that is known around it.

    Args:
        evidence: see ``kistack.reporting.evidence.gather``.
        format: text, md, json or html.
        base: the folder that the document will lie in; references to files are relative to it.
        width: columns of text.

    Raises:
        InputError: an unknown format, or a sweep that is not of its form.
    """
    if format == "json":
        return json.dumps(full_document(evidence), indent=2, ensure_ascii=False)
    return _rendered(full_page(evidence, Places(base), documents=format == "html"), format, width)


def _rendered(page: Page, form: str, width: int) -> str:
    match form:
        case "md":
            return markdown.render(page)
        case "text":
            return terminal.as_text(page, width)
        case "html":
            return html.render(page)
        case _:
            raise InputError(f"there is no report format {form!r}", f"use {', '.join(FORMATS)}")


def _page(subject: Other) -> Page:
    match subject:
        case Profile():
            return profile_page(subject)
        case Recommendation():
            return advice_page(subject)
        case Pipeline():
            return check_page(subject)
        case Answer():
            return answer_page(subject)


def _document(subject: Other) -> dict[str, Any]:
    match subject:
        case Profile():
            return subject.to_json()
        case Recommendation():
            return advice_document(subject)
        case Pipeline():
            return {"schema": 1, **subject.describe()}
        case Answer():
            return {"schema": 1, **answer_document(subject)}
