"""Options that many commands share, and the project they point at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kistack.cli.output import out
from kistack.errors import InputError

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.plugins.host import Host

FolderOption = Annotated[Path, typer.Option("-C", "--project", help="The project's folder, or one inside it.")]
OverLimitsOption = Annotated[
    bool, typer.Option("--over-limits", help="Go on although the plan is expected to exceed a limit.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")]
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


def check_free(path: Path | None, *, force: bool) -> None:
    """Refuse to write over a file that is there, or into no folder; asked before the work that makes its content.

    Raises:
        InputError: something is in the way and ``force`` is not set, or nothing can be written there.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder", "name a file in it")
    if path.exists() and not force:
        raise InputError(f"{path} exists already", "name another file, or overwrite it with --force")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "make it first, or name another file")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError(f"{path} cannot be written: Permission denied", "make its folder writable for you, "
                         "or name another file")  # fmt: skip


def workspace_at(folder: Path) -> Workspace:
    """The project at or above ``folder``."""
    from kistack.bundle.workspace import Workspace

    return Workspace.find(folder, host=host(), notify=out.say)
