"""Starting the wizard: in this terminal, or for a browser."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.errors import InputError

if TYPE_CHECKING:
    from kistack.plugins.host import Host
    from kistack.tui.session import Session


def launch(folder: Path, host: Host | None = None) -> Session:
    """Run the wizard in this terminal until it is left; returns what it knew then.

    Raises:
        InputError: ``folder`` is none.
    """
    from kistack.tui.app import WizardApp
    from kistack.tui.session import Session

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "name one that is there")
    session = Session(folder.absolute(), host=host)
    WizardApp(session).run()
    return session


def serve(folder: Path, host: str, port: int) -> None:
    """Serve the wizard to browsers until interrupted; each one gets a wizard of its own in a process of its own.

    Raises:
        InputError: ``folder`` is none, or the port cannot be used.
    """
    from textual_serve.server import Server

    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "name one that is there")
    _check_port(host, port)
    # -P: a user's folder may hold files with the names of modules.
    command = shlex.join([sys.executable, "-P", "-m", "kistack", "wizard", str(folder.absolute())])
    Server(command, host=host, port=port, title="kistack").serve()


def _check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at, before a server says it in its own words."""
    import socket

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise InputError(f"{host}:{port} cannot be used: {error.strerror or error}", "choose another --port") from error
