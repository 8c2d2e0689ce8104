"""What is asked of the composer: one stage to be put to work, and how it can fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kistack.plugins.stages import Settings, Stage


class Unmet(Exception):
    """A port cannot be met; carries the problem."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Broken(Exception):
    """A port reads what a faulty step should have made: reported there already."""


@dataclass(frozen=True, slots=True)
class Request:
    """One stage to be put to work, as a step asks for it or as the composer does.

    ``content`` is what its result depends on beside its inputs: the digest of the files a source reads. ``select`` are
    the parts of the corpus it may read (empty: all); what is put in for it reads these too.
    """

    stage: Stage
    settings: Settings
    where: str
    redirect: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    step: int | None = None
    purpose: str = "step"
    auto: bool = False
    select: tuple[str, ...] = ()
