"""Until when base and teacher know the world: from their card or chat template, else by family from a table."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from kistack.domain.facts import Fact, Origin, assumed, measured
from kistack.domain.yamlfile import plain_yaml
from kistack.errors import KistackError
from kistack.profiling.corpus import Corpus

#: The models whose knowledge matters: one that answers, one whose answers are learnt.
SLOTS = ("model", "teacher")

_MONTH = r"20\d\d-(0[1-9]|1[0-2])"


class Cutoff(BaseModel):
    """The month until which a family of models knows the world (``YYYY-MM``), and who says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: str
    names: tuple[str, ...] = Field(min_length=1)
    cutoff: str = Field(pattern=rf"^{_MONTH}$")
    says: str
    source: str = Field(min_length=1)


class _Table(BaseModel):
    """The file as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    cutoffs: tuple[Cutoff, ...]


@cache
def known_cutoffs() -> tuple[Cutoff, ...]:
    """The shipped table (``kistack/data/cutoffs.yaml``), read once.

    Raises:
        KistackError: the installation is damaged.

    """
    import yaml

    text = (resources.files("kistack.data") / "cutoffs.yaml").read_text(encoding="utf-8")
    try:
        return _Table.model_validate(plain_yaml(text)).cutoffs
    except (yaml.YAMLError, ValueError) as error:
        raise KistackError(f"kistack/data/cutoffs.yaml: {error}", "install kistack again") from error


def cutoff_of(reference: str) -> Cutoff | None:
    """The family of the table that the last two parts of a reference name; None where nobody knows."""
    name = "/".join(re.split(r"[/\\:]", reference)[-2:])
    return next((c for c in known_cutoffs() if any(re.search(p, name, re.IGNORECASE) for p in c.names)), None)


def last_day(stated: str) -> dt.date | None:
    """The last day that ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD`` includes; None for anything else.

    >>> last_day("2023-06")
    datetime.date(2023, 6, 30)
    """
    found = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", stated.strip())
    if found is None:
        return None
    try:
        year, month = int(found[1]), int(found[2] or 12)
        return dt.date(year, month, int(found[3] or calendar.monthrange(year, month)[1]))
    except ValueError:  # calendar's IllegalMonthError is one
        return None


def cutoff_facts(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """``model.cutoff`` and ``teacher.cutoff`` (ISO dates) from the facts of a profile, absent where unknown.

    A month counts to its last day.
    """
    found: dict[str, Fact] = {}
    for slot in SLOTS:
        stated = facts.get(f"{slot}.knowledge_cutoff")
        day = last_day(str(stated.value)) if stated is not None else None
        if stated is not None and day is not None:
            found[f"{slot}.cutoff"] = measured(day.isoformat(), f"its card or chat template says {stated.value}")
            continue
        reference = facts.get(f"{slot}.reference")
        known = cutoff_of(str(reference.value)) if reference is not None else None
        if known is not None and (day := last_day(known.cutoff)) is not None:
            why = f"{known.family} by its name: {known.says} until {known.cutoff} ({known.source})"
            found[f"{slot}.cutoff"] = assumed(day.isoformat(), why)
    return found


def after_cutoff(corpus: Corpus, cutoff: Fact) -> dict[str, Fact]:
    """``freshness.after_cutoff``: the share of dated documents newer than this cutoff; nothing where none is dated."""
    dates = [d.date for d in corpus.documents if d.date is not None]
    if not dates:
        return {}
    day = dt.date.fromisoformat(str(cutoff.value))
    share = sum(date > day for date in dates) / len(dates)
    origin: Origin = "assumed" if cutoff.source == "assumed" else "measured"
    why = f"of {len(dates)} dated documents, those newer than the base's knowledge ({day}: {cutoff.why})"
    return {"freshness.after_cutoff": Fact(round(share, 4), "", origin, why)}
