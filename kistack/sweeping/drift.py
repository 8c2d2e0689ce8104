"""The world as it was at a snapshot: the scenario on its older documents, and which questions have moved since.

What held then is told by the pairs' dates (``date``: since when the answer holds); of a pair without one, by whether an
answer of it stands in the older state of the documents that it names as ``gold``. A pair that tells neither is taken to
have held then.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kistack.domain.scenario import CorpusPart, Scenario, Snapshot, Split
from kistack.errors import DataError, InputError
from kistack.profiling.corpus import load_corpus, normalized
from kistack.profiling.pairs import Pair
from kistack.profiling.splits import load_pairs
from kistack.profiling.turnover import undated_id
from kistack.storage.files import storing, write_atomic

#: The held-out questions by what became of their answers, in the order of reports.
GROUPS = ("changed", "new", "stood")


@dataclass(frozen=True)
class Earlier:
    """The scenario at a snapshot, and the held-out questions of today by what became of their answers.

    ``groups``: ``changed`` (asked then, answered otherwise now), ``new`` (their documents did not exist), ``stood``;
    numbers of the questions in the order of the held-out pairs. ``learnt`` are the training pairs that held then, of
    ``pairs`` in all.
    """

    scenario: Scenario
    as_of: dt.date
    groups: Mapping[str, tuple[int, ...]]
    learnt: int
    pairs: int


def earlier(scenario: Scenario, since: str, folder: Path) -> Earlier:
    """The scenario as it was at the snapshot of a date (ISO; default: the latest); its pairs are written to ``folder``.

    Raises:
        InputError: there is no such snapshot, or no held-out question whose answer has changed since.
        DataError: documents or pairs cannot be read, or none held then.
    """
    snapshot = _snapshot(scenario, since)
    then = _documents_then(scenario, snapshot)
    split = load_pairs(scenario)
    texts = {undated_id(d.id): normalized(d.text) for d in load_corpus(then).documents}
    groups: dict[str, list[int]] = {name: [] for name in GROUPS}
    for number, pair in enumerate(split.test):
        groups[_group(pair, snapshot.as_of, texts)].append(number)
    if not groups["changed"]:
        raise InputError(
            f"no held-out question has another answer than on {snapshot.as_of}",
            "date the pairs (date: since when the answer holds) or name their gold documents, or choose an older "
            f"snapshot with --since: {_dates(scenario)}",
        )
    learnt = [p for p in split.train if _group(p, snapshot.as_of, texts) == "stood"]
    if split.train and not learnt:
        raise DataError(f"no training pair held on {snapshot.as_of} already", "choose a later snapshot with --since")
    path = folder / "pairs.jsonl"
    with storing(folder, "writing the pairs of an older state"):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _lines(learnt, "train") + _lines(split.test, "test"))
    knowledge = then.knowledge.model_copy(update={"pairs": (path,), "split": Split(by="declared")})
    counted = {name: tuple(numbers) for name, numbers in groups.items()}
    past = then.model_copy(update={"knowledge": knowledge})
    return Earlier(past, snapshot.as_of, counted, len(learnt), len(split.train))


def _snapshot(scenario: Scenario, since: str) -> Snapshot:
    snapshots = sorted(scenario.knowledge.snapshots, key=lambda s: s.as_of)
    if not snapshots:
        raise InputError(
            "the scenario names no older state of its documents",
            "list dated ones under knowledge.snapshots: {2024-07-01: snapshots/2024-07-01}",
        )
    if not since:
        return snapshots[-1]
    found = next((s for s in snapshots if s.as_of.isoformat() == since), None)
    if found is None:
        raise InputError(f"there is no snapshot of {since!r}", f"choose one of: {_dates(scenario)}")
    return found


def _dates(scenario: Scenario) -> str:
    return ", ".join(sorted(s.as_of.isoformat() for s in scenario.knowledge.snapshots))


def _documents_then(scenario: Scenario, snapshot: Snapshot) -> Scenario:
    """The scenario with the documents of a snapshot, and only what was older than it to tell how fast they change."""
    knowledge = scenario.knowledge
    parts = knowledge.corpus
    within = [p.model_copy(update={"path": snapshot.path / p.path.name, "part": p.name}) for p in parts]
    corpus: Sequence[CorpusPart]
    if len(parts) > 1 and any(p.path.exists() for p in within):
        corpus = [p for p in within if p.path.exists()]
    else:
        marks = {"erasable": any(p.erasable for p in parts), "per_user_access": any(p.per_user_access for p in parts)}
        corpus = [parts[0].model_copy(update={"path": snapshot.path, "part": parts[0].name, **marks})]
    changed = knowledge.model_copy(
        update={
            "corpus": tuple(corpus),
            "as_of": snapshot.as_of,
            "snapshots": tuple(s for s in knowledge.snapshots if s.as_of < snapshot.as_of),
        }
    )
    return scenario.model_copy(update={"knowledge": changed})


def _group(pair: Pair, as_of: dt.date, texts: Mapping[str, str]) -> str:
    """What became of a pair's answer since ``as_of``; ``texts`` are the documents then, by id."""
    gold = [texts[undated_id(g)] for g in pair.gold if undated_id(g) in texts]
    if pair.date is not None:
        held = pair.date <= as_of
    elif gold:
        held = any(normalized(answer) in text for answer in pair.answers for text in gold)
    else:
        held = not pair.gold
    if held:
        return "stood"
    return "changed" if gold or not pair.gold else "new"


def _lines(pairs: Sequence[Pair], split: str) -> str:
    return "".join(json.dumps({**p.to_json(), "split": split}, ensure_ascii=False) + "\n" for p in pairs)
