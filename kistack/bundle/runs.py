"""Runs of a project: started apart from this process, and gone on with."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.errors import InputError
from kistack.execution.detach import is_driven, launch, status_of

if TYPE_CHECKING:
    from kistack.storage.project import Project

#: The plan of a run, in its folder.
PLAN_FILE = "plan.json"

_CLOSING_SECONDS = 15.0
_POLL_SECONDS = 0.1


def start_detached(
    project: Project, plan: Path, *, fresh: bool = False, run_dir: Path | None = None
) -> tuple[Path, int]:
    """Start ``kistack run`` in a process of its own, which outlives this one; the run's folder and the process.

    Whether the plan keeps to the limits is not asked again there.

    Args:
        project: where it runs.
        plan: the plan's file.
        fresh: make every step again.
        run_dir: the folder of an earlier run that goes on (default: a new run's).

    Raises:
        InputError: the process cannot be started.
        StoreError: the run's folder cannot be written.
    """
    folder = run_dir or project.new_run()
    command = [sys.executable, "-m", "kistack", "--quiet", "run", str(plan.absolute()), "-C", str(project.root)]
    command += ["--over-limits", "--run-id", folder.name, *(["--fresh"] if fresh else [])]
    return folder, launch(command, folder, cwd=project.root)


def resume_detached(project: Project, run_dir: Path) -> int:
    """Go on with a run that was stopped, killed or failed: the same plan in the same folder; returns the process.

    Finished steps are taken from the store, and a training goes on from its last checkpoint.

    Raises:
        InputError: it is running, or had not begun when it ended.
    """
    limit = time.monotonic() + _CLOSING_SECONDS
    while is_driven(run_dir) and status_of(run_dir).status != "running" and time.monotonic() < limit:
        # It has ended, but its process is still closing what it had opened.
        time.sleep(_POLL_SECONDS)
    if is_driven(run_dir):
        raise InputError(f"run {run_dir.name} is running already", f"watch it: kistack attach {run_dir.name}")
    plan = run_dir / PLAN_FILE
    if not plan.is_file():
        raise InputError(f"run {run_dir.name} ended before it had begun", "start its plan again")
    return start_detached(project, plan, run_dir=run_dir)[1]
