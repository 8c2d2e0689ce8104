"""The verb of the Python API that renders anything kistack returns."""

from __future__ import annotations

import json
from collections.abc import Callable
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


#: Per kind of subject: its page, and its JSON document.
_VIEWS: dict[type, tuple[Callable[[Any], Page], Callable[[Any], dict[str, Any]]]] = {
    Profile: (profile_page, Profile.to_json),
    Recommendation: (advice_page, advice_document),
    Pipeline: (check_page, lambda subject: {"schema": 1, **subject.describe()}),
    RunRecord: (run_page, run_document),
    Answer: (answer_page, lambda subject: {"schema": 1, **answer_document(subject)}),
    Sweep: (sweep_page, sweep_document),
    Staleness: (staleness_page, Staleness.to_json),
}


def _page(subject: Subject) -> Page:
    return _VIEWS[type(subject)][0](subject)


def _document(subject: Subject) -> dict[str, Any]:
    return _VIEWS[type(subject)][1](subject)
