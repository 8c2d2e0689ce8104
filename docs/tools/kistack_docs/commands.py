"""The page of commands, from the command line's own declarations."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import typer

from kistack.cli.main import app, options
from kistack.cli.main import main as entry
from kistack_docs.text import anchor, code, page, paragraphs, table
from kistack_docs.types import words, written

OPENING = """\
Every command, with what it takes. `kistack COMMAND --help` shows the same in a terminal. Options of kistack
itself stand before the command: `kistack --quiet run plan.yaml`. What is asked for goes to standard output,
everything else to standard error; `--json` gives one document there ([its form](documents.md)). Exit codes are
in [errors](errors.md)."""


def commands_page() -> str:
    """The whole page."""
    found = tree()
    listed = table(
        ("command", "what it does"),
        [(f"[{code(name)}](#{anchor(name)})", paragraphs(command.help)[0]) for name, command in found.items()],
    )
    root = typer.main.get_command(app)
    blocks = [listed, "## Options of kistack itself", _options(root), *paragraphs(options.__doc__)[1:]]
    blocks += ["Exit codes: " + paragraphs(entry.__doc__)[0].partition(": ")[2].rstrip(".") + "."]
    for name, command in found.items():
        blocks += [
            f"## {name}",
            *paragraphs(command.help),
            f"```text\n{usage(name, command)}\n```",
            _arguments(command),
        ]
        blocks += [_options(command)]
    return page("Commands", OPENING, blocks)


@cache
def tree() -> dict[str, Any]:
    """Every command by its full name, ``kistack plugins list``, those of a group after each other."""
    return _below(typer.main.get_command(app), "kistack")


def _below(group: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, command in group.commands.items():
        if getattr(command, "hidden", False):
            continue
        if hasattr(command, "commands"):
            found |= _below(command, f"{name} {part}")
        else:
            found[f"{name} {part}"] = command
    return found


def flags(command: Any) -> set[str]:
    """Every spelling of a command's visible options."""
    shown = {s for p in command.params if _is_option(p) and not p.hidden for s in (*p.opts, *p.secondary_opts)}
    return shown | {"-h", "--help"}


def usage(name: str, command: Any) -> str:
    """``kistack run PLAN [OPTIONS]``."""
    arguments = [_metavar(p) if p.required else f"[{_metavar(p)}]" for p in command.params if not _is_option(p)]
    return " ".join([name, *arguments, "[OPTIONS]"])


def _is_option(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "option")


def _metavar(parameter: Any) -> str:
    many = "…" if parameter.nargs == -1 else ""
    return f"{parameter.metavar or parameter.name.upper()}{many}"


def _arguments(command: Any) -> str:
    rows = [
        (code(_metavar(p)), _default(p), p.help or "")
        for p in command.params
        if not _is_option(p) and not getattr(p, "hidden", False)
    ]
    return table(("argument", "default", "what it is"), rows)


def _options(command: Any) -> str:
    rows = [
        (", ".join(code(s) for s in (*p.opts, *p.secondary_opts)), _takes(p), _default(p), p.help or "")
        for p in command.params
        if _is_option(p) and not p.hidden
    ]
    return table(("option", "takes", "default", "what it does"), rows)


def _takes(parameter: Any) -> str:
    if parameter.is_flag:
        return ""
    if parameter.metavar:
        return code(parameter.metavar)
    annotation = parameter.type_descriptor.annotation
    named = words(annotation)
    if parameter.min is not None:
        named += f", ≥ {parameter.min}"
    if parameter.max is not None:
        named += f", ≤ {parameter.max}"
    return named


def _default(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    value = parameter.default
    if isinstance(value, bool) or value is None:
        return ""
    return code(value) if isinstance(value, Path) else written(value)
