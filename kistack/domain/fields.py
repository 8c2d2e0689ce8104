"""Types for pydantic models: sizes, durations, rates, money, dates and paths; the base of what a user declares.

Parsed from text, plain numbers in base units in Python (``kistack.units``), dumped to JSON as text that reads back.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo, WithJsonSchema

from kistack.units import (
    DATE_HINT,
    DURATION_HINT,
    MONEY_HINT,
    RATE_HINT,
    SHARE_HINT,
    SIZE_HINT,
    UnitError,
    format_duration,
    format_money,
    format_rate,
    format_share,
    format_size,
    parse_date,
    parse_duration,
    parse_money,
    parse_rate,
    parse_share,
    parse_size,
)


def _schema(hint: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "description": hint})


def _per_second(value: object) -> float:
    return parse_rate(value, "s")


def _day_text(value: float) -> str:
    return format_rate(value, "day")


def _second_text(value: float) -> str:
    return format_rate(value, "s")


def _json(text: Any) -> PlainSerializer:
    return PlainSerializer(text, return_type=str, when_used="json-unless-none")


Bytes = Annotated[int, BeforeValidator(parse_size), _json(format_size), _schema(SIZE_HINT)]
Seconds = Annotated[float, BeforeValidator(parse_duration), _json(format_duration), _schema(DURATION_HINT)]
Share = Annotated[float, BeforeValidator(parse_share), _json(format_share), _schema(SHARE_HINT)]
PerDay = Annotated[float, BeforeValidator(parse_rate), _json(_day_text), _schema(RATE_HINT)]
PerSecond = Annotated[float, BeforeValidator(_per_second), _json(_second_text), _schema(RATE_HINT)]
Money = Annotated[float, BeforeValidator(parse_money), _json(format_money), _schema(MONEY_HINT)]
Date = Annotated[dt.date, BeforeValidator(parse_date), _schema(DATE_HINT)]


def _resolve(value: object, info: ValidationInfo) -> object:
    """A path relative to the scenario file; it must exist when the scenario is read from a file."""
    if not isinstance(value, str | Path) or not str(value):
        raise UnitError(f"{value!r} is not a path", "give the path of a file or folder, relative to this file")
    context = info.context or {}
    path = Path(context.get("root", "."), Path(value).expanduser())
    if context.get("must_exist") and not path.exists():
        raise UnitError(f"{str(value)!r} does not exist (looked for {path})", "correct the path, or create it")
    return path


ScenarioPath = Annotated[Path, BeforeValidator(_resolve)]


class Part(BaseModel):
    """Base of every part of a scenario: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)
