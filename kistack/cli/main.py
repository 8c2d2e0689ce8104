"""The ``kistack`` command: parse, call the verb, render. What goes wrong is one line and one remedy."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kistack.cli import (
    assets,
    benching,
    bundles,
    comparing,
    deciding,
    demoing,
    doctoring,
    policing,
    running,
    sweeping,
    wizarding,
)
from kistack.cli.output import out
from kistack.errors import InputError, KistackError

app = typer.Typer(
    name="kistack",
    help="Decide, build and prove how a language model should get its knowledge.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        out.text(f"kistack {metadata.version('kistack')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A plugin at fault is an error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Decide, build and prove how a language model should get its knowledge."""
    out.quiet, out.debug, out.strict = quiet, debug, strict


_DECISIONS = (wizarding, deciding, policing, benching)
_RUNS = (running, sweeping, comparing, bundles)
_REST = (assets, doctoring, demoing)
for module in (*_DECISIONS, *_RUNS, *_REST):
    module.add_to(app)


def main() -> None:
    """Run the command line and end the process: 0 done, 1 failed, 2 wrong usage or input."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns the exit code. Without any, whoever sits at a terminal gets the wizard."""
    if not arguments and wizarding.is_interactive():
        arguments = ["wizard"]
    command = typer.main.get_command(app)
    try:
        code = command.main(arguments, prog_name="kistack", standalone_mode=False)
    except KistackError as error:
        if out.debug:
            raise
        out.error(error)
        return error.exit_code
    except typer.exceptions.TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        out.error(KistackError("interrupted", "what was finished is kept: run the same command again to go on"))
        return 1
    except BrokenPipeError:
        # The reader of our output went away (kistack … | head).
        sys.stderr.close()
        return 1
    except OSError as error:
        if out.debug:
            raise
        out.error(InputError(f"{error.filename or 'system'}: {error.strerror or error}", _remedy(error)))
        return 2
    return code if isinstance(code, int) else 0


def _remedy(error: OSError) -> str:
    """What to do about what the operating system refused."""
    if isinstance(error, PermissionError):
        return "give yourself the right to it, or name another place"
    return "mend that and run again"


def _usage(error: Exception) -> int:
    """A command line that cannot be read."""
    told = getattr(error, "format_message", error.__str__)()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(told + "\n")
    else:
        out.error(InputError(told, f"see: {context.command_path if context is not None else 'kistack'} --help"))
    return 2
