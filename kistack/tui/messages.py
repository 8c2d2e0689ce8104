"""What work in threads tells the wizard, named for what happened; the app's handlers change the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from kistack.advisor.judging import Bench
    from kistack.bundle.workspace import Workspace
    from kistack.domain.advice import Recommendation
    from kistack.domain.facts import Fact, Profile
    from kistack.errors import KistackError


class _OfPlace(Message):
    """Something about a project; it is out of date once the session works with another statement of it."""

    def __init__(self, place: Workspace) -> None:
        super().__init__()
        self.place = place


class FactsCame(_OfPlace):
    """Some facts became known."""

    def __init__(self, place: Workspace, facts: Mapping[str, Fact]) -> None:
        super().__init__(place)
        self.facts = dict(facts)


class Profiled(_OfPlace):
    """All facts are known."""

    def __init__(self, place: Workspace, profile: Profile) -> None:
        super().__init__(place)
        self.profile = profile


class CandidatesJudged(_OfPlace):
    """All candidates were composed and judged."""

    def __init__(self, place: Workspace, bench: Bench, advice: Recommendation) -> None:
        super().__init__(place)
        self.bench = bench
        self.advice = advice


class PreparationFailed(_OfPlace):
    """Profiling or judging ended with an error."""

    def __init__(self, place: Workspace, error: KistackError) -> None:
        super().__init__(place)
        self.error = error
