"""Private parts: documents that can be erased or are not for everyone, and whether a plan puts any into weights."""

from __future__ import annotations

from kistack.composition.pipeline import Pipeline
from kistack.composition.selection import selects_pairs, trained_parts
from kistack.domain.facts import Profile
from kistack.plugins.selecting import pairs_are_told_apart, part_names

_MARKS = ("erasable", "per_user_access")


def private_parts(profile: Profile) -> frozenset[str]:
    """The parts of the corpus that are marked erasable or accessible to some users only."""
    return frozenset(n for n in part_names(profile) if any(profile.number(f"part.{n}.{m}") for m in _MARKS))


class Privacy:
    """What one profile says of private documents."""

    def __init__(self, profile: Profile) -> None:
        self.parts = private_parts(profile)
        self._any = bool(self.parts) or any(profile.number(f"scenario.{m}") for m in _MARKS)
        self._told_apart = pairs_are_told_apart(profile)

    def reaches_weights(self, pipeline: Pipeline) -> bool:
        """Whether private documents, or pairs or passages of them, do or may go into the delivered weights.

        They may where nobody knows which parts are private, or where no training pair names its gold documents, so that
        a selection of pairs keeps all of them.
        """
        if not self._any:
            return False
        trained = trained_parts(pipeline)
        if trained is None or (selects_pairs(pipeline) and not self._told_apart):
            return True
        return bool(trained & self.parts if self.parts else trained)
