"""The demo's facts: what was published about software releases at five dates, in one compact table.

The table lies beside this module as ``releases.csv``: product, title, cycle, fact, then one column per date; an empty
cell means that nothing was published then. Source: endoflife.date, MIT licence (``releases.LICENSE``,
``ATTRIBUTION.md``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - the class is used as a type here, `date` names values
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

from kistack.errors import DataError

Kind = Literal["latest_patch", "end_of_life", "newest_cycle"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: The dates of the table's columns, oldest first.
DATES = ("2022-07-01", "2023-07-01", "2024-07-01", "2025-07-01", "2026-08-22")
LATEST = DATES[-1]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One row of the table: a fact about a product's release cycle and its value at each date it was published.

    ``cycle`` is empty for ``newest_cycle``, which is a fact about the product as a whole.
    """

    product: str
    title: str
    cycle: str
    kind: Kind
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReleaseFact:
    """A fact as known at one date. ``since`` is the first of the table's dates from which it stood unchanged."""

    product: str
    title: str
    cycle: str
    kind: Kind
    value: str
    since: str

    @property
    def id(self) -> str:
        """Names the fact, whatever its value: ``python/3.12/end-of-life``, ``python/newest-cycle``."""
        return "/".join(part for part in (self.product, self.cycle, self.kind.replace("_", "-")) if part)


@dataclass(frozen=True, slots=True)
class Turnover:
    """How facts moved between two dates: counts of those known at both, and of what was added and removed."""

    both: int
    changed: int
    added: int
    removed: int

    @property
    def share(self) -> float:
        """Share (0 to 1) of the facts known at both dates whose value changed."""
        return self.changed / self.both if self.both else 0.0


@lru_cache(maxsize=1)
def load_table() -> tuple[Timeline, ...]:
    """All rows, in the order of the file: by product, cycle and kind."""
    text = files(__package__).joinpath("releases.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(
        Timeline(
            product=row["product"],
            title=row["title"],
            cycle=row["cycle"],
            kind=row["fact"],  # type: ignore[arg-type]  # a test reads every kind of the shipped table
            values={day: row[day] for day in DATES if row[day]},
        )
        for row in rows
    )


def known_date(date: str) -> str:
    """The latest of the table's dates that is not after ``date`` (ISO).

    Raises:
        DataError: it is not a date, or lies before the first of the table.

    """
    hint = f"choose one of {', '.join(DATES)}, or a later day"
    try:
        Date.fromisoformat(date)
    except ValueError:
        raise DataError(f"demo: {date!r} is not a date", hint) from None
    if date < DATES[0]:
        raise DataError(f"demo: nothing was recorded as early as {date}", hint)
    return max(day for day in DATES if day <= date)


def facts_as_of(date: str = LATEST) -> tuple[ReleaseFact, ...]:
    """What was published at the latest of the table's dates that is not after ``date`` (ISO).

    Raises:
        DataError: it is not a date, or lies before the first of the table.

    """
    day = known_date(date)
    return tuple(
        ReleaseFact(row.product, row.title, row.cycle, row.kind, row.values[day], _since(row, day))
        for row in load_table()
        if day in row.values
    )


def freshness_truth(first: str, second: str) -> Turnover:
    """The turnover between two dates, counted from the table itself.

    Raises:
        DataError: one of them is not a date, or lies before the first of the table.

    """
    before, after = known_date(first), known_date(second)
    rows = [row.values for row in load_table()]
    both = [values for values in rows if before in values and after in values]
    return Turnover(
        both=len(both),
        changed=sum(values[before] != values[after] for values in both),
        added=sum(after in values and before not in values for values in rows),
        removed=sum(before in values and after not in values for values in rows),
    )


def _since(row: Timeline, day: str) -> str:
    """The first date of the unbroken stretch of equal values that ends at ``day``."""
    since = day
    for earlier in reversed(DATES[: DATES.index(day)]):
        if row.values.get(earlier) != row.values[day]:
            break
        since = earlier
    return since
