"""Types for pydantic models: sizes, durations, rates, money and dates.

Parsed from text, plain numbers in base units in Python (``kistack.units``), dumped to JSON as text that reads back.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from kistack.units import (
    DATE_HINT,
    DURATION_HINT,
    MONEY_HINT,
    RATE_HINT,
    SHARE_HINT,
    SIZE_HINT,
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
