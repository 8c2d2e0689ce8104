"""The verb of the Python API that renders anything kistack returns."""

from __future__ import annotations

import json
from typing import Any, Literal

from kistack.bundle.opening import Answer
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.facts import Profile
from kistack.domain.records import RunRecord
from kistack.errors import InputError
from kistack.reporting import markdown, terminal
from kistack.reporting.advice import advice_document, advice_page
from kistack.reporting.answers import answer_document, answer_page
from kistack.reporting.blocks import Page
from kistack.reporting.plans import check_page
from kistack.reporting.profiles import profile_page
from kistack.reporting.runs import run_document, run_page
from kistack.reporting.staleness import staleness_page
from kistack.reporting.sweeps import sweep_document, sweep_page
from kistack.sweeping.rows import Sweep
from kistack.sweeping.staleness import Staleness

Subject = Profile | Recommendation | Pipeline | RunRecord | Answer | Sweep | Staleness
Format = Literal["text", "md", "json"]


def report(subject: Subject, format: Format = "text", *, width: int = 120) -> str:  # noqa: A002 - the reader's word
    """A profile, a recommendation, a pipeline, a run, an answer, a sweep or a test of staleness in that format.

    Raises:
        InputError: an unknown format.
    """
    if format == "json":
        return json.dumps(_document(subject), indent=2, ensure_ascii=False)
    page = _page(subject)
    if format == "md":
        return markdown.render(page)
    if format == "text":
        return terminal.as_text(page, width)
    raise InputError(f"there is no report format {format!r}", "use text, md or json")


def _page(subject: Subject) -> Page:
    match subject:
        case Profile():
            return profile_page(subject)
        case Recommendation():
            return advice_page(subject)
        case Pipeline():
            return check_page(subject)
        case RunRecord():
            return run_page(subject)
        case Answer():
            return answer_page(subject)
        case Sweep():
            return sweep_page(subject)
        case Staleness():
            return staleness_page(subject)


def _document(subject: Subject) -> dict[str, Any]:
    match subject:
        case Profile():
            return subject.to_json()
        case Recommendation():
            return advice_document(subject)
        case Pipeline():
            return {"schema": 1, **subject.describe()}
        case RunRecord():
            return run_document(subject)
        case Answer():
            return {"schema": 1, **answer_document(subject)}
        case Sweep():
            return sweep_document(subject)
        case Staleness():
            return subject.to_json()
