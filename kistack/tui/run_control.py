"""Starting, watching and stopping runs from the wizard; the run itself is a process that needs no wizard."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.bundle.runs import start_detached
from kistack.domain.planfile import load_plan
from kistack.errors import PlanError
from kistack.execution.detach import cause_of_death, is_driven
from kistack.execution.events import EVENTS_FILE, Event, EventReader, RunFinished, RunStarted

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

#: Between two looks at a run's events.
LOOK_SECONDS = 0.2
#: A process that has just begun may not have been written down yet.
_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Started:
    """A run that has begun in a process of its own."""

    run_dir: Path
    pid: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A plan that is expected to exceed a limit; nothing was started."""

    error: PlanError


def start(place: Workspace, plan_file: Path, *, over_limits: bool = False) -> Started | Refused:
    """Check a plan and run it as ``kistack run --detach`` does.

    Raises:
        KistackError: it cannot be read, composed or started.
    """
    pipeline = place.compose(load_plan(plan_file), where=plan_file.name)
    if not over_limits:
        try:
            place.admit(pipeline, where=plan_file.name)
        except PlanError as error:
            return Refused(error)
    return Started(*start_detached(place.project, plan_file))


def watch(
    run_dir: Path,
    tell: Callable[[list[Event]], object],
    lost: Callable[[str], object],
    gone: Callable[[], bool],
    *,
    since: float = 0.0,
) -> None:
    """Pass a run's events on in batches, from its beginning, until it ends, its process is gone, or nobody watches.

    Args:
        run_dir: the run's folder.
        tell: called with new events.
        lost: called with the cause when the process is gone without a word.
        gone: whether nobody watches any more.
        since: when the run was taken up again; that it had ended before is not passed on.
    """
    reader = EventReader(run_dir / EVENTS_FILE)
    finished = False
    patient = time.monotonic() + _PATIENCE_SECONDS
    while not gone():
        # Asked before reading: what a process writes last is read after it is known to be gone.
        driven = is_driven(run_dir)
        events = [e for e in reader.read() if not (isinstance(e, RunFinished) and e.time < since)]
        for event in events:
            if isinstance(event, (RunStarted, RunFinished)):
                finished = isinstance(event, RunFinished)
        if events:
            tell(events)
        if finished and not driven:
            return
        if not driven and (time.monotonic() > patient or not _may_begin(run_dir)):
            lost(cause_of_death(run_dir))
            return
        time.sleep(LOOK_SECONDS)


def _may_begin(run_dir: Path) -> bool:
    """Whether nothing has been heard of it yet."""
    return not (run_dir / EVENTS_FILE).exists()
