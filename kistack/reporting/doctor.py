"""The page of ``kistack doctor``: one report to be copied into a question."""

from __future__ import annotations

from kistack.bundle.diagnosis import Diagnosis
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, shown


def doctor_page(found: Diagnosis) -> Page:
    """What was found, faults first."""
    page: list[Block] = [Heading("kistack doctor", 1)]
    if found.broken:
        page += [Heading("Broken"), Bullets(found.broken)]
    else:
        page.append(Paragraph("Nothing that kistack needs is broken."))
    if found.notes:
        page += [Heading("Notes"), Bullets(found.notes)]
    page += [Heading("Versions"), Table(("what", "version"), tuple(found.kistack.items()))]
    page.append(_libraries(found))
    page += [Heading("Plugins"), _plugins(found), Heading("Devices"), _devices(found)]
    page += [Heading("Models found"), _models(found), Heading("Project and store"), _project(found)]
    if found.store.faults:
        page.append(Bullets(found.store.faults))
    if found.extras:
        rows = tuple((f"{e.distribution}[{e.name}]", e.adds or DASH, ", ".join(e.missing)) for e in found.extras)
        page += [Heading("Extras not installed"), Table(("extra", "adds", "installs"), rows)]
    if found.environments:
        page.append(Heading("Environments of plugins"))
        columns = ("name", "plugins", "state", "folder")
        page.append(Table(columns, tuple(tuple(own[c] or DASH for c in columns) for own in found.environments)))
    if found.variables:
        page += [Heading("Variables that are set"), Paragraph(", ".join(found.variables))]
    return page


def _libraries(found: Diagnosis) -> Table:
    rows = tuple((x.name, x.version or DASH, x.least or DASH, x.state, ", ".join(x.needed_by)) for x in found.libraries)
    return Table(("library", "version", "at least", "state", "needed by"), rows)


def _plugins(found: Diagnosis) -> Table:
    rows = tuple(
        (p["name"], p["version"] or DASH, p["state"], ", ".join(p["stages"]) or DASH, "; ".join(p["errors"]) or DASH)
        for p in found.plugins
    )
    return Table(("plugin", "version", "state", "stages", "errors"), rows)


def _devices(found: Diagnosis) -> Table:
    device = found.devices
    rows = [
        ("processor", f"{device['processor']}, {device['cores']} cores, {device['isa'] or 'no vector units known'}"),
        ("memory", f"{shown(device['ram_free'], 'B')} free of {shown(device['ram_total'], 'B')}"),
        ("disk", f"{shown(device['disk_free'], 'B')} free"),
        *((g["name"], f"{shown(g['free'], 'B')} free of {shown(g['total'], 'B')}") for g in device["gpus"]),
    ]
    if not device["gpus"]:
        rows.append(("GPU", "none found"))
    return Table(("device", "what"), tuple(rows))


def _models(found: Diagnosis) -> Table | Paragraph:
    if not found.models:
        return Paragraph("None.")
    rows = tuple(
        (
            m.reference or DASH,
            m.source or DASH,
            shown(m.bytes, "B") if m.bytes else DASH,
            ", ".join(m.slots) or DASH,
            m.fault or "ok",
        )
        for m in found.models
    )
    return Table(("reference", "source", "size", "named as", "state"), rows, frozenset({2}))


def _project(found: Diagnosis) -> Table:
    project, store = found.project, found.store
    looked = f", {store.looked} artifacts compared by name and size" if store.looked else ""
    rows = [
        ("project", project["folder"] or "none here"),
        ("scenario", project["scenario"] or DASH),
        ("store", f"{store.state}, {shown(store.bytes, 'B')} for {store.steps} steps{looked}"),
        ("ledger", store.ledger),
    ]
    return Table(("what", "state"), tuple(rows))
