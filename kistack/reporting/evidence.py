"""All that a full report of a run rests on, gathered from its folder, its project and the advisor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kistack.bundle.archive import KeptRun
from kistack.bundle.workspace import Workspace
from kistack.domain.advice import Recommendation
from kistack.domain.facts import Profile
from kistack.errors import KistackError
from kistack.reporting.effects import effects_of
from kistack.reporting.runs import compared_by
from kistack.storage.project import Project
from kistack.sweeping.notebook import Notebook


@dataclass(frozen=True)
class Evidence:
    """A run with what is known around it; ``notes`` say what could not be had, and why.

    ``today`` says that the profile is the project's as it is now, because the run did not keep its own.
    """

    kept: KeptRun
    metric: str
    profile: Profile | None = None
    advice: Recommendation | None = None
    sweep: Mapping[str, Any] | None = None
    today: bool = False
    notes: tuple[str, ...] = ()

    @property
    def plans(self) -> list[str]:
        """The systems that the plan delivers; the others are what it is compared with."""
        return [n for n in self.kept.record.systems if n.startswith("plan")]

    @property
    def rivals(self) -> list[tuple[str, str]]:
        """Each of the plan's systems with each of the others."""
        others = [n for n in self.kept.record.systems if n not in self.plans]
        return [(plan, other) for plan in self.plans for other in others]

    @property
    def index_seconds(self) -> float:
        """Time that the index took."""
        steps = self.kept.record.steps
        return sum(s.measured.get("seconds", 0.0) for s in steps if s.use.startswith("retrieve/"))


def latest_effects(project: Project) -> Mapping[str, Any] | None:
    """The document of the project's latest sweep that tells effects of techniques, if there is one."""
    for book in reversed(Notebook.all(project)):
        try:
            document = book.result()
            if document is not None and effects_of(document):
                return document
        except KistackError:
            continue
    return None


def gather(kept: KeptRun, place: Workspace | None = None, sweep: Mapping[str, Any] | None = None) -> Evidence:
    """The evidence of a run.

    Args:
        kept: the run.
        place: its project, whose advisor says what was to be expected of the other combinations; without it, or where
            it cannot advise any more, the report goes without them and says so.
        sweep: the document of a sweep, whose effects of techniques are shown beside the run.
    """
    profile, advice, today, notes = kept.profile, None, False, []
    if place is not None:
        try:
            now = place.profile()
            advice = place.advise()
            today = profile is None
            profile = profile or now
        except KistackError as error:
            notes.append(f"what the advice expected of other combinations is left out: {error.message}")
    if today and profile is not None and profile.digest != kept.record.profile:
        notes.append("the run did not keep its facts: those shown are the project's as they are now")
    metric = profile.text("scenario.metric") if profile is not None else ""
    plan = next((s for n, s in kept.record.systems.items() if n.startswith("plan")), None)
    if plan is not None and metric not in plan.items:
        metric = compared_by(plan)
    return Evidence(kept, metric, profile, advice, sweep, today, tuple(notes))
