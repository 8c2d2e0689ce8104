"""Options that many commands share, and the project they point at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kistack.cli.output import out

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.plugins.host import Host

FolderOption = Annotated[Path, typer.Option("-C", "--project", help="The project's folder, or one inside it.")]
OverLimitsOption = Annotated[
    bool, typer.Option("--over-limits", help="Go on although the plan is expected to exceed a limit.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def host() -> Host:
    """The installed plugins; what is wrong with them is said once, or is an error under ``--strict``."""
    from kistack.plugins.host import default_host, load_host

    if out.strict:
        return load_host(strict=True)
    loaded = default_host()
    for line in loaded.problems:
        out.warn(line)
    return loaded


def workspace_at(folder: Path) -> Workspace:
    """The project at or above ``folder``."""
    from kistack.bundle.workspace import Workspace

    return Workspace.find(folder, host=host(), notify=out.say)
