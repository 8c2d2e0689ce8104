"""The wizard's command; textual is imported only when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import host
from kistack.errors import InputError

#: Set by the server of browsers for the wizards that it starts.
_SERVED = "TEXTUAL_DRIVER"
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(wizard)


def wizard(
    folder: Annotated[Path, typer.Argument(help="A project's folder, or one to make a project in.")] = Path(),
    *,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it to browsers instead.")] = False,
    address: Annotated[str, typer.Option("--host", help="Where --serve listens.")] = "localhost",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where --serve listens.")] = 8000,
) -> None:
    """Go from a folder to a running bundle, step by step; what kistack does alone in a terminal."""
    from kistack.tui import launching

    if serve:
        if address not in _LOCAL:
            out.warn(f"whoever reaches {address}:{port} can read and run what you can")
        out.say(f"http://{address}:{port} (ctrl+c ends it)")
        launching.serve(folder, address, port)
        return
    if not is_interactive() and _SERVED not in os.environ:
        raise InputError("the wizard needs a terminal", "use the commands (kistack --help), or kistack wizard --serve")
    session = launching.launch(folder, host() if out.strict else None)
    if session.commands:
        out.say("the same without the wizard:")
        out.text("\n".join(session.commands))


def is_interactive() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()
