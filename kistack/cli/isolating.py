"""Commands on environments of plugins' own: list, create, remove. Nothing else in kistack makes one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kistack.cli.output import out
from kistack.cli.places import JsonOption, host
from kistack.reporting.blocks import Block, Heading, Paragraph, Table
from kistack.reporting.numbers import DASH, shown

environments = typer.Typer(
    no_args_is_help=True, help="Environments of plugins' own, for dependencies that clash with others'."
)


@environments.command("list")
def environments_list(*, as_json: JsonOption = False) -> None:
    """The environments that installed plugins declare, which of them are made, and what is left of earlier ones."""
    from kistack.plugins.environments import environments_folder
    from kistack.plugins.installing import declared, made
    from kistack.storage.files import size_of

    rows: list[dict[str, Any]] = []
    for found in declared(host()):
        own, ready = found.environment, found.environment.is_made
        rows.append(
            {
                "name": own.name,
                "plugins": list(found.plugins),
                "stages": list(found.stages),
                "ready": ready,
                "bytes": size_of(own.folder) if ready else 0,
                "folder": str(own.folder) if ready else "",
                "lock": str(own.lock),
                "remedy": "" if ready else own.remedy,
            }
        )
    current = {row["folder"] for row in rows}
    earlier = [str(folder) for folder in made() if str(folder) not in current]
    table = Table(
        ("environment", "plugins", "stages", "state", "size"),
        tuple(
            (
                r["name"],
                ", ".join(r["plugins"]),
                ", ".join(r["stages"]) or DASH,
                "ready" if r["ready"] else f"not made: {r['remedy']}",
                shown(r["bytes"], "B") if r["ready"] else DASH,
            )
            for r in rows
        ),
        frozenset({4}),
    )
    page: list[Block] = [Heading("Environments of plugins", 1)]
    page.append(table if rows else Paragraph("No installed plugin declares one."))
    page.append(Paragraph(f"They lie in {environments_folder()}."))
    if earlier:
        page.append(Paragraph(f"Of earlier lock files or plugins, removed with their name: {', '.join(earlier)}."))
    out.result(page, {"schema": 1, "environments": rows, "earlier": earlier}, as_json=as_json)


@environments.command("create")
def environments_create(
    name: Annotated[str, typer.Argument(help="The environment: see kistack plugins env list.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Install what a plugin's lock file names into an environment of its own; takes minutes and a network.

    What the plugin needs is taken from where pip is set up to look. One that is there already is left as it is.
    """
    from kistack.plugins.installing import contents, create, find
    from kistack.storage.files import size_of

    loaded = host()
    found = find(loaded, name)
    own = found.environment
    there = own.is_made
    modules = sorted({type(loaded.get(stage).stage).__module__ for stage in found.stages})
    folder = create(own, modules, notify=out.say)
    packages, size = contents(own), size_of(folder)
    state = "was there already" if there else "is ready"
    page = [Paragraph(f"Environment {name} {state}: {len(packages)} packages, {shown(size, 'B')}, in {folder}.")]
    document = {"schema": 1, "name": name, "made": not there, "folder": str(folder), "bytes": size}
    out.result(page, {**document, "packages": packages}, as_json=as_json)


@environments.command("remove")
def environments_remove(
    name: Annotated[str, typer.Argument(help="The environment: see kistack plugins env list.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Remove an environment, and those of earlier lock files under its name; it can be made again."""
    from kistack.plugins.installing import made, remove
    from kistack.storage.files import size_of

    freed = sum(size_of(folder) for folder in made(name))
    gone = [str(folder) for folder in remove(name)]
    page = [Paragraph(f"{shown(freed, 'B')} freed: {', '.join(gone)}.")]
    out.result(page, {"schema": 1, "name": name, "removed": gone, "bytes": freed}, as_json=as_json)
