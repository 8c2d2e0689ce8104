"""The words of advice: reasons, candidates, recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from kistack.domain.plan import Plan
from kistack.domain.records import Estimate

Strength = Literal["requires", "forbids", "prefers", "avoids", "notes"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a candidate gained or lost: the rule's id, its text, its sources, and the points it moved."""

    rule: str
    strength: Strength
    because: str
    sources: tuple[str, ...] = ()
    points: float = 0.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """A limit that a candidate breaks: what it needs, what it may have, and what would admit it."""

    limit: str
    needs: str
    allowed: str
    admits: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan with its estimate, quality (points 0 to 100, with interval), reasons and verdict."""

    plan: Plan
    estimate: Estimate
    quality: float
    low: float
    high: float
    reasons: tuple[Reason, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether no limit and no rule rejects it."""
        return not self.rejections

    @property
    def broken(self) -> tuple[str, ...]:
        """The limits that reject it, each once."""
        return tuple(dict.fromkeys(r.limit for r in self.rejections))

    @property
    def name(self) -> str:
        """Its techniques joined by plus, ``nothing`` when it has none."""
        return "+".join(self.plan.techniques) or "nothing"

    def with_rejections(self, rejections: tuple[Rejection, ...]) -> Candidate:
        """The same candidate, rejected for these."""
        return replace(self, rejections=rejections)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Candidates ranked, the rejected ones too, and how sure the choice is."""

    candidates: tuple[Candidate, ...]
    profile: str  # digest
    notes: tuple[str, ...] = ()
    front: tuple[int, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[Candidate, ...]:
        """The feasible candidates, best first."""
        return tuple(c for c in self.candidates if c.kept)

    @property
    def rejected(self) -> tuple[Candidate, ...]:
        """The candidates a limit or rule excludes."""
        return tuple(c for c in self.candidates if not c.kept)

    @property
    def best(self) -> Candidate:
        """The first feasible candidate.

        Raises:
            IndexError: nothing is feasible.

        """
        return self.kept[0]
