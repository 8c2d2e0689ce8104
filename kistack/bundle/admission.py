"""Admission: a plan that a stated limit forbids is refused before anything is loaded, whoever wrote it."""

from __future__ import annotations

from kistack.advisor.limits import bounds, exceeded
from kistack.composition.pipeline import Pipeline
from kistack.domain.advice import Rejection
from kistack.domain.facts import Profile
from kistack.domain.scenario import Scenario
from kistack.errors import PlanError, Problem

#: What is only slower than stated does no harm by being run: it is said, not refused.
_SLOW = frozenset({"latency", "training time"})
_REMEDY = "or run it all the same with --over-limits"


def over_limits(pipeline: Pipeline, scenario: Scenario, profile: Profile) -> tuple[list[Rejection], list[Rejection]]:
    """The limits this plan breaks by its estimates: those that forbid running it, and those that it is only slow by."""
    found = exceeded(pipeline, bounds(scenario, profile))
    return [r for r in found if r.limit not in _SLOW], [r for r in found if r.limit in _SLOW]


def admit(pipeline: Pipeline, scenario: Scenario, profile: Profile, *, where: str = "plan") -> list[str]:
    """Refuse a plan that exceeds a limit; returns a line for each limit of time that it is expected to exceed.

    Raises:
        PlanError: with every limit that it exceeds, what it needs, what it may have and what would admit it.
    """
    refused, slow = over_limits(pipeline, scenario, profile)
    if refused:
        raise PlanError(where, [_problem(r) for r in refused])
    return [f"{r.limit}: {r.needs} expected, {r.allowed} allowed" for r in slow]


def _problem(found: Rejection) -> Problem:
    said = f"{found.limit}: it needs {found.needs}, {found.allowed} allowed"
    return Problem("", said, f"{found.admits}, {_REMEDY}")
