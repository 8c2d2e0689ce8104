"""Asking where a plan goes, and writing it there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kistack.domain.plan import Plan
from kistack.tui.plan_files import PLAN_NAME, PlanTarget, says
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import Field, FormModal, Values


def save_plan(screen: WizardScreen, plan: Plan, then: Callable[[], None] | None = None) -> None:
    """Ask where the plan goes, write it there, and go on with ``then``; leaving the form writes nothing."""
    session = screen.session
    target = PlanTarget(session.folder, plan)
    shown = session.plan_file or Path(PLAN_NAME)
    if shown.is_relative_to(session.folder):
        shown = shown.relative_to(session.folder)

    def take(values: Values | None) -> None:
        if values is None:
            return
        with screen.telling():
            path = target.path(values["file"])
            target.write(path)
            session.plan, session.plan_file = plan, path
            session.did("check", path)
            screen.say(f"written to {path}")
            if then is not None:
                then()

    form = [Field("file", "file", str(shown), "a path, from the project's folder")]
    screen.app.push_screen(
        FormModal("Write the plan", form, lambda v: target.check(v["file"]), "It can be run, edited and compared."),
        take,
    )


def saved(screen: WizardScreen, plan: Plan, then: Callable[[], None]) -> None:
    """Go on with ``then`` once a file says what the plan does; ask where to write it where none does."""
    if says(screen.session.plan_file, plan):
        then()
    else:
        save_plan(screen, plan, then)
