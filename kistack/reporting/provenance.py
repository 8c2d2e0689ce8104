"""Where the numbers of a run's report come from: its record, its manifest, the steps and the answers behind each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.bundle.archive import KeptRun
from kistack.domain.plan import Plan
from kistack.domain.planfile import dump_plan
from kistack.errors import KistackError
from kistack.reporting.blocks import Block, Code, Heading, Paragraph, Table
from kistack.reporting.numbers import DASH


@dataclass(frozen=True, slots=True)
class Places:
    """How a document refers to files: relative to ``base``, the folder it is written to, else by their full address."""

    base: Path | None = None

    def link(self, path: Path | None) -> str:
        """A reference to a file; empty where there is none."""
        if path is None:
            return ""
        if self.base is None:
            return path.absolute().as_uri()
        return Path(os.path.relpath(path.absolute(), self.base.absolute())).as_posix()


def provenance_blocks(kept: KeptRun, places: Places, *, documents: bool) -> list[Block]:
    """A part of a page that everything measured links to; ``documents``: with the record and manifest in full."""
    record = kept.record
    files = {"record": kept.record_path, "manifest": kept.manifest_path}
    page: list[Block] = [
        Heading("Where these numbers come from", anchor="provenance"),
        Paragraph(
            f"Run {record.run}, started {record.started or 'at an unknown time'}; profile {record.profile[:12]}."
        ),
        Table(
            ("file", "where"),
            tuple((name, str(path or "not kept")) for name, path in files.items()),
            links={(n, 1): places.link(path) for n, path in enumerate(files.values()) if path is not None},
            anchors=tuple(files),
        ),
        _systems(kept, places),
    ]
    if record.environment:
        rows = tuple(record.environment.items())
        page += [Heading("Machine and versions", 3), Table(("what", "version"), rows)]
    page += _plan(record.plan)
    if documents:
        page += _documents(kept)
    return page


def _systems(kept: KeptRun, places: Places) -> Table:
    """The answers and steps behind each system's numbers."""
    record, manifest = kept.record, places.link(kept.manifest_path)
    step_by_answers = {d: n for n, s in enumerate(record.steps) for d in s.outputs.values()}
    rows, links = [], {}
    for number, (name, system) in enumerate(record.systems.items()):
        step = step_by_answers.get(system.answers)
        rows.append(
            (
                name,
                record.run,
                system.answers[:16] or DASH,
                DASH if step is None else f"{step + 1}. {record.steps[step].use} {record.steps[step].key[:12]}",
                "manifest" if manifest and name in getattr(kept.manifest, "scores", {}) else DASH,
            )
        )
        links[number, 1] = places.link(kept.record_path)
        links[number, 3] = "" if step is None else f"#step-{step}"
        links[number, 4] = manifest if rows[-1][4] != DASH else ""
    columns = ("system", "run", "answers", "answered by step", "scores also in")
    return Table(columns, tuple(rows), links=links, anchors=tuple(f"system-{name}" for name in record.systems))


def _plan(plan: Mapping[str, Any]) -> list[Block]:
    try:
        text = dump_plan(Plan.model_validate(dict(plan)))
    except (ValueError, KistackError):
        text = json.dumps(dict(plan), indent=1)
    return [Heading("The plan", 3), Code(text, "yaml")]


def _documents(kept: KeptRun) -> list[Block]:
    """The record without its numbers per item, and the manifest."""
    document = kept.record.to_json()
    for system in document["systems"].values():
        system["items"] = {metric: f"{len(values)} numbers" for metric, values in system["items"].items()}
    page: list[Block] = [
        Code(
            json.dumps(document, indent=1, ensure_ascii=False, default=str), "json", f"The record of {kept.record.run}"
        )
    ]
    if kept.manifest is not None:
        text = json.dumps(kept.manifest.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
        page.append(Code(text, "json", "The manifest of its bundle"))
    return page
