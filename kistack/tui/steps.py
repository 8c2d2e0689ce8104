"""The steps of the wizard, in order: where their screens are, and what must be known before one can be shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kistack.errors import InputError

if TYPE_CHECKING:
    from kistack.tui.session import Session


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, its title, and the module and class of its screen."""

    name: str
    title: str
    module: str
    screen: str


def _step(name: str) -> Step:
    title = name.capitalize()
    return Step(name, title, f"kistack.tui.screens.{name}", f"{title}Screen")


STEPS = tuple(map(_step, ("start", "profile", "goals", "recommendation", "compose", "run", "results", "ask")))
_NUMBERS = {step.name: number for number, step in enumerate(STEPS)}


def find_step(name: str) -> Step:
    """The step of that name.

    Raises:
        KeyError: there is none.
    """
    return STEPS[_NUMBERS[name]]


def beside(name: str, by: int) -> Step | None:
    """The step so many places after (before, where negative) the named one; None beyond the ends."""
    number = _NUMBERS[name] + by
    return STEPS[number] if 0 <= number < len(STEPS) else None


def check_open(step: Step, session: Session) -> None:
    """Refuse a step that has nothing to show yet.

    Raises:
        InputError: with what to do first.
    """
    if step.name != "start" and session.place is None:
        raise InputError(f"{step.title} needs a project", "open one here, or make one of your documents or the demo")
