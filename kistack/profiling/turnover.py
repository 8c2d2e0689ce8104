"""What changed between dated states of documents, and the rates per day that follow from it.

Documents are cut into pieces (lines and sentences). A piece of an earlier state that is gone in the later one was
*changed* if its document also gained one in exchange, else *removed*; what else is new was *added*. Over pieces present
at both dates, one stays as it is with probability exp(-h·days): the hazard h is fitted by maximum likelihood over all
intervals, each weighted by its pieces and days. Removals are fitted apart, over all pieces of the earlier date. Pieces
of one document change together, so the 95 % interval resamples whole documents; it is never narrower than that of as
many independent events, for a handful of documents cannot show how far they scatter.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kistack.errors import DataError
from kistack.profiling.documents import Document

#: Where a document lies: the name of its part and the first folder below it, empty for files right in the part.
Place = tuple[str, str]

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(\[])")
_DATE_IN_ID = re.compile(r"[-_@. ]?(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])")
_RESAMPLES = 200
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class State:
    """The pieces of every document on a date, and where each document lies."""

    as_of: dt.date
    pieces: Mapping[str, frozenset[str]]
    places: Mapping[str, Place] = field(default_factory=dict)


class Row(NamedTuple):
    """What happened to one document from one date to the next, in pieces; ``pieces`` are those of the earlier date."""

    document: str
    place: Place
    before: dt.date
    after: dt.date
    pieces: int
    changed: int
    removed: int
    added: int

    @property
    def days(self) -> int:
        """Days between the two dates."""
        return (self.after - self.before).days


class Rates(NamedTuple):
    """Rates per day: the hazard of a change with its 95 % interval, that of a removal, and additions per piece."""

    changed: float
    low: float
    high: float
    removed: float
    added: float


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened between two dates: pieces present at both, those of them that changed, others removed or added."""

    before: dt.date
    after: dt.date
    both: int
    changed: int
    removed: int
    added: int

    @property
    def days(self) -> int:
        """Days between the two dates."""
        return (self.after - self.before).days

    @property
    def share(self) -> float:
        """Share (0 to 1) of the pieces present at both dates that changed."""
        return self.changed / self.both if self.both else 0.0


def pieces_of(text: str) -> frozenset[str]:
    """The distinct lines and sentences of a text, without differences of spacing."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return frozenset(piece for line in lines if line for piece in _SENTENCE.split(line))


def undated_id(ident: str) -> str:
    """A document's id without a date in it."""
    return _DATE_IN_ID.sub("", ident)


def place_of(document: Document) -> Place:
    """The part and the first folder of a document."""
    folder, slash, _ = document.path.partition("/")
    return document.part, folder if slash else ""


def state_of(
    documents: Iterable[Document],
    as_of: dt.date,
    known: dict[str, frozenset[str]] | None = None,
    place: Callable[[Document], Place] = place_of,
) -> State:
    """The pieces of these documents. Dates within ids (``report-2024-07-01``) are left out where ids stay distinct.

    Args:
        documents: of one state.
        as_of: its date.
        known: pieces by text, filled as texts are cut: states share most of theirs.
        place: says where a document lies.

    """
    listed = list(documents)
    known = {} if known is None else known
    bare = [undated_id(d.id) for d in listed]
    ids = bare if len(set(bare)) == len(bare) else [d.id for d in listed]
    pieces: dict[str, frozenset[str]] = {}
    for ident, document in zip(ids, listed, strict=True):
        cut = known.get(document.text)
        if cut is None:
            cut = known[document.text] = pieces_of(document.text)
        pieces[ident] = cut
    return State(as_of, pieces, {i: place(d) for i, d in zip(ids, listed, strict=True)})


def compare(states: Sequence[State], part: str = "") -> list[Row]:
    """What happened to each document between each state and the next (dates must rise).

    ``part`` is put before the documents' names, so that rows of several parts may be put together.
    """
    rows: list[Row] = []
    for before, after in itertools.pairwise(states):
        vanished = before.pieces.keys() - after.pieces.keys()
        appeared = after.pieces.keys() - before.pieces.keys()
        # A document that was renamed or split is neither removed nor added: its pieces go on under another id.
        moved_to = frozenset().union(*(after.pieces[i] for i in appeared))
        moved_from = frozenset().union(*(before.pieces[i] for i in vanished))

        def add(ident: str, *counts: int, span: tuple[State, State] = (before, after)) -> None:
            first, second = span
            place = second.places.get(ident) or first.places.get(ident) or ("", "")
            rows.append(Row(part + ident, place, first.as_of, second.as_of, *counts))

        for ident, old in before.pieces.items():
            new = after.pieces.get(ident)
            if new is old:
                add(ident, len(old), 0, 0, 0)
                continue
            lost = old - (moved_to if new is None else new)
            gained = frozenset() if new is None else new - old
            changed = min(len(lost), len(gained))
            add(ident, len(old), changed, len(lost) - changed, len(gained) - changed)
        for ident in sorted(appeared):
            add(ident, 0, 0, 0, len(after.pieces[ident] - moved_from))
    return rows


def intervals(rows: Iterable[Row]) -> tuple[Interval, ...]:
    """The rows added up by their dates, oldest first."""
    sums: dict[tuple[dt.date, dt.date], list[int]] = {}
    for row in rows:
        total = sums.setdefault((row.before, row.after), [0, 0, 0, 0])
        for n, count in enumerate((row.pieces - row.removed, row.changed, row.removed, row.added)):
            total[n] += count
    return tuple(Interval(before, after, *sums[before, after]) for before, after in sorted(sums))


def fit(rows: Sequence[Row]) -> Rates:
    """The rates per day behind these rows.

    Raises:
        DataError: there is nothing to compare.

    """
    import numpy as np

    days = np.asarray([row.days for row in rows], dtype=float)
    counts = np.asarray([row[4:] for row in rows], dtype=float).reshape(-1, 4)
    exposure = float((counts[:, 0] - counts[:, 2]) @ days) if len(rows) else 0.0
    everything = float(counts[:, 0] @ days) if len(rows) else 0.0
    if everything <= 0:
        raise DataError("the states of the corpus have nothing in common to compare", "give two states of one corpus")
    _, cluster = np.unique(np.asarray([row.document for row in rows]), return_inverse=True)
    spans, span = np.unique(days, return_inverse=True)
    # Per document and span of time: pieces, changed, removed.
    table = np.zeros((cluster.max() + 1, len(spans), 3))
    np.add.at(table, (cluster, span), counts[:, :3])
    whole = table.sum(0)[None]
    changed = float(_hazards(whole[:, :, 0] - whole[:, :, 2], whole[:, :, 1], spans)[0])
    removed = float(_hazards(whole[:, :, 0], whole[:, :, 2], spans)[0])
    generator = np.random.default_rng(0)
    weights = generator.multinomial(len(table), np.full(len(table), 1 / len(table)), size=_RESAMPLES)
    sums = np.tensordot(weights, table, axes=(1, 0))
    low, high = np.percentile(_hazards(sums[:, :, 0] - sums[:, :, 2], sums[:, :, 1], spans), [2.5, 97.5])
    fewest, most = _independent(float(counts[:, 1].sum()))
    # With no event seen the rate may still be anything up to three per exposure (rule of three).
    high = max(float(high), changed * most if changed else 3 / max(exposure, float(spans.min())))
    return Rates(changed, min(float(low), changed * fewest), high, removed, float(counts[:, 3].sum()) / everything)


def _independent(events: float) -> tuple[float, float]:
    """The 95 % interval of a Poisson count of so many events, as factors of it (Byar's approximation).

    Breslow and Day, Statistical Methods in Cancer Research II (1987), page 69: within 1 % of the exact one.
    """
    if events <= 0:
        return 0.0, 0.0
    low = max(0.0, 1 - 1 / (9 * events) - _NORMAL_95 / (3 * events**0.5)) ** 3
    more = events + 1
    return low, more / events * (1 - 1 / (9 * more) + _NORMAL_95 / (3 * more**0.5)) ** 3


def _hazards(exposed: Any, events: Any, spans: Any) -> Any:
    """The hazard per resample from (resamples, spans) counts of exposed pieces and events."""
    import numpy as np

    # Where nothing survived, half a piece did: the likelihood has no maximum otherwise.
    survived = np.maximum(exposed - events, 0.0)
    survived = np.where((survived.sum(1, keepdims=True) == 0) & (exposed > 0), 0.5, survived)
    low, high = np.zeros(len(events)), np.full(len(events), 50.0 / float(spans.min()))
    for _ in range(80):  # bisection on the likelihood's derivative, which falls in the hazard
        middle = (low + high) / 2
        lived = np.expm1(np.minimum(middle[:, None] * spans, 500.0))
        slope = (events * spans / np.maximum(lived, 1e-300) - survived * spans).sum(1)
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    return np.where(events.sum(1) > 0, (low + high) / 2, 0.0)
