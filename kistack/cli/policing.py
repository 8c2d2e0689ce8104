"""Commands on policies: list, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kistack.cli.output import out
from kistack.cli.places import JsonOption, host

policies = typer.Typer(no_args_is_help=True, help="Rules that advice follows: shipped, of plugins, of your own.")


def add_to(app: typer.Typer) -> None:
    """Register the command group."""
    app.add_typer(policies, name="policies")


def _every() -> list[Path]:
    """The files of all shipped policies and of those that plugins bring."""
    from kistack.advisor.policies import policy_paths, shipped_policies

    return policy_paths(shipped_policies(), host().policies())


@policies.command("list")
def policies_list(*, as_json: JsonOption = False) -> None:
    """Every policy that a scenario can name, and those of plugins, which always count."""
    from kistack.advisor.policies import read_policies
    from kistack.reporting.policies import policies_document, policies_page

    found = read_policies(_every())
    out.result(policies_page(found), policies_document(found), as_json=as_json)


@policies.command("check")
def policies_check(
    what: Annotated[list[str] | None, typer.Argument(help="Names or files of policies (default: all).")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Whether each rule can fire, and whether two of them contradict each other; files are checked together."""
    from kistack.advisor.policies import load_policies, policy_paths
    from kistack.advisor.policy_check import check_rules
    from kistack.reporting.policies import policy_check_document, policy_check_page

    found = check_rules(load_policies(policy_paths(what) if what else _every()))
    out.result(policy_check_page(found), policy_check_document(found), as_json=as_json)
    if not found.sound:
        raise typer.Exit(1)
