"""The verb of the Python API that renders anything kistack returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from kistack.bundle.archive import kept_record
from kistack.bundle.differences import RunDifference
from kistack.bundle.opening import Answer
from kistack.bundle.reproducing import Reproduction
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Recommendation
from kistack.domain.facts import Profile
from kistack.domain.records import RunRecord
from kistack.errors import InputError
from kistack.reporting import html, markdown, terminal
from kistack.reporting.advice import advice_document, advice_page
from kistack.reporting.answers import answer_document, answer_page
from kistack.reporting.blocks import Page
from kistack.reporting.differences import difference_page, reproduction_page
from kistack.reporting.evidence import Evidence, gather
from kistack.reporting.plans import check_page
from kistack.reporting.profiles import profile_page
from kistack.reporting.provenance import Places
from kistack.reporting.run_report import full_document, full_page
from kistack.reporting.staleness import staleness_page
from kistack.reporting.sweeps import sweep_document, sweep_page
from kistack.sweeping.rows import Sweep
from kistack.sweeping.staleness import Staleness

Other = Profile | Recommendation | Pipeline | Answer | Sweep | Staleness | Reproduction | RunDifference
Subject = Other | RunRecord
Format = Literal["text", "md", "json", "html"]
FORMATS: tuple[str, ...] = get_args(Format)


def report(subject: Subject, format: Format = "text", *, width: int = 120) -> str:  # noqa: A002 - the reader's word
    """A profile, a recommendation, a pipeline, a run, an answer, a sweep, a test of staleness, or how runs differ.

    HTML is one file that needs no network.

    Raises:
        InputError: an unknown format.
    """
    if isinstance(subject, RunRecord):
        return report_run(gather(kept_record(subject)), format, width=width)
    if format == "json":
        return json.dumps(_document(subject), indent=2, ensure_ascii=False)
    page = sweep_page(subject, plots=format == "html") if isinstance(subject, Sweep) else _page(subject)
    return _rendered(page, format, width)


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


#: Per kind of subject: its page, and its JSON document.
_VIEWS: dict[type, tuple[Callable[[Any], Page], Callable[[Any], dict[str, Any]]]] = {
    Profile: (profile_page, Profile.to_json),
    Recommendation: (advice_page, advice_document),
    Pipeline: (check_page, lambda subject: {"schema": 1, **subject.describe()}),
    Answer: (answer_page, lambda subject: {"schema": 1, **answer_document(subject)}),
    Sweep: (sweep_page, sweep_document),
    Staleness: (staleness_page, Staleness.to_json),
    Reproduction: (reproduction_page, Reproduction.to_json),
    RunDifference: (difference_page, RunDifference.to_json),
}


def _page(subject: Other) -> Page:
    return _VIEWS[type(subject)][0](subject)


def _document(subject: Other) -> dict[str, Any]:
    return _VIEWS[type(subject)][1](subject)
