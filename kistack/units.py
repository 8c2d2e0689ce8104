"""Sizes, durations, rates, money and dates: parsed from what people write, printed so that it reads back the same.

Everything is kept in one base unit: bytes, seconds, items per day or per second, US dollars. ``parse_…`` raise
``UnitError`` with what would be accepted; ``format_…`` without ``digits`` print text that parses to the equal value,
with ``digits`` they round to that many significant digits for reading.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

from kistack.errors import InputError


class UnitError(InputError, ValueError):
    """A size, duration, rate, amount or date that does not parse (a ValueError too, so that pydantic reports it)."""


_NUMBER = r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
#: No size, time, rate or amount that anybody means is larger, in its base unit; exponents need no more digits.
_MOST = Decimal("1e27")
_EXPONENT_DIGITS = 3
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*", re.DOTALL)
_TERM = re.compile(rf"\s*({_NUMBER})\s*([a-zA-Zµμ]+)\s*,?")

_SIZES: dict[str, int] = {"": 1, "b": 1, "byte": 1, "bytes": 1}
for _n, _letter in enumerate("kmgtp", 1):
    _SIZES[_letter] = _SIZES[_letter + "b"] = 1000**_n
    _SIZES[_letter + "i"] = _SIZES[_letter + "ib"] = 1024**_n

#: Seconds in each unit of time. A month counts 30 days and a year 365.
_TIMES: dict[str, Decimal] = {}
for _names, _seconds in (
    ("ns nanosecond nanoseconds", "1e-9"),
    ("us µs μs microsecond microseconds", "1e-6"),
    ("ms millisecond milliseconds", "1e-3"),
    ("s sec secs second seconds", "1"),
    ("m min mins minute minutes", "60"),
    ("h hr hrs hour hours", "3600"),
    ("d day days", "86400"),
    ("w week weeks", "604800"),
    ("month months", "2592000"),
    ("y yr year years", "31536000"),
):
    for _name in _names.split():
        _TIMES[_name] = Decimal(_seconds)

_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

SIZE_HINT = "write a size such as 2GiB, 500 MB or 1.5e9 (bytes)"
DURATION_HINT = "write a duration with its unit, such as 300ms, 2h30m, 7d or 1 week"
RATE_HINT = "write a rate such as 50/day, 2%/week or 120 tok/s"
SHARE_HINT = "write a share such as 80% or 0.8"
MONEY_HINT = "write an amount in US dollars, such as $3 or 2.50 USD"
DATE_HINT = "write a date such as 2024-07-01"


# --- numbers


def _decimal(text: str) -> Decimal:
    """The number that ``_NUMBER`` matched; an exponent beyond all use makes it infinite or zero."""
    digits, _, exponent = text.replace("_", "").lower().partition("e")
    if len(exponent.lstrip("+-0")) > _EXPONENT_DIGITS:
        return Decimal(0) if exponent.startswith("-") or not Decimal(digits) else Decimal("Infinity").copy_sign(
            Decimal(digits))  # fmt: skip
    return Decimal(f"{digits}e{exponent}" if exponent else digits)


def _split(value: object, what: str, hint: str) -> tuple[Decimal, str]:
    """The number and the rest of ``value``; non-finite numbers, booleans and other types are refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise UnitError(f"{value!r} is not {_one(what)}", hint)
    if not isinstance(value, str):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not number.is_finite():
            raise UnitError(f"{value!r} is not {_one(what)}", hint)
        return number, ""
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise UnitError(f"{value!r} is not {_one(what)}", hint)
    return _decimal(match[1]), match[2]


def _one(what: str) -> str:
    """``a size``, ``an amount``."""
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _not_negative(number: Decimal, value: object, what: str, hint: str) -> Decimal:
    if number < 0:
        raise UnitError(f"{value!r} is negative: {_one(what)} is zero or more", hint)
    return number


def _bounded(number: Decimal, value: object, what: str, hint: str) -> Decimal:
    """A number in its base unit that is not beyond all use."""
    if number > _MOST:
        raise UnitError(f"{value!r} is larger than any {what} there is", hint)
    return number


def _plain(number: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _exact(value: float) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _rounded(number: Decimal, digits: int) -> Decimal:
    if not number:
        return number
    return round(number, digits - 1 - number.adjusted())


def _scaled(number: Decimal, scales: tuple[tuple[str, Decimal], ...], digits: int | None) -> str:
    """The first scale (largest first) that fits: exactly and shortly without ``digits``, else merely not below 1."""
    if digits is not None:
        shown = next(((name, scale) for name, scale in scales if abs(number) >= scale), scales[-1])
        return _plain(_rounded(number / shown[1], digits)) + shown[0]
    for name, scale in scales:
        part = number / scale
        if abs(part) >= 1 and part * scale == number and len(part.normalize().as_tuple().digits) <= 4:  # noqa: PLR2004 - longer mantissas read better in the base unit
            return _plain(part) + name
    return _plain(number) + scales[-1][0]


# --- sizes

_BINARY = tuple((f"{letter}iB", Decimal(1024**n)) for n, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")))
_DECIMAL = tuple((f"{letter}B", Decimal(1000**n)) for n, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "k")))
_BYTE = ("B", Decimal(1))


def parse_size(value: object) -> int:
    """Bytes in ``2GiB``, ``500 MB`` (powers of 1000), ``16G``, ``1.5e9``; a plain number counts bytes.

    Raises:
        UnitError: it is no size, or negative.

    """
    number, unit = _split(value, "size", SIZE_HINT)
    scale = _SIZES.get(unit.lower())
    if scale is None:
        raise UnitError(f"{value!r} has no known unit of size ({unit!r})", SIZE_HINT)
    return round(_bounded(_not_negative(number, value, "size", SIZE_HINT) * scale, value, "size", SIZE_HINT))


def format_size(value: float, digits: int | None = None) -> str:
    """``2GiB``, ``500MB``, ``134515008B``; with ``digits`` rounded to decimal units: ``134.5 MB`` for 4."""
    number = _exact(value)
    if digits is None:
        whole = Decimal(round(number))
        binary = _scaled(whole, (*_BINARY, _BYTE), None)
        decimal = _scaled(whole, (*_DECIMAL, _BYTE), None)
        return min(decimal, binary, key=len)
    return _scaled(number, (*((f" {n}", s) for n, s in _DECIMAL), (" B", Decimal(1))), digits)


# --- durations

_CLOCK = tuple((name, _TIMES[name]) for name in ("d", "h", "min", "s"))
_SMALL = tuple((name, _TIMES[name]) for name in ("ms", "us", "ns"))


def parse_duration(value: object) -> float:
    """Seconds in ``300ms``, ``7d``, ``2h30m``, ``1 week``; ``m`` is minutes. A number without unit is refused, but 0.

    Raises:
        UnitError: it is no duration, has no unit, or is negative.

    """
    if isinstance(value, dt.timedelta):
        value = f"{value.total_seconds()!r}s"
    if not isinstance(value, str):
        number, _ = _split(value, "duration", DURATION_HINT)
        if number:
            raise UnitError(f"{value!r} has no unit of time", DURATION_HINT)
        return 0.0
    if value.strip() == "0":
        return 0.0
    total, position = Decimal(0), 0
    text = value.rstrip()
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            bare = _QUANTITY.fullmatch(text, position)
            reason = "has no unit of time" if bare is not None and not bare[2] else "is not a duration"
            raise UnitError(f"{value!r} {reason}", DURATION_HINT)
        scale = _TIMES.get(match[2]) or _TIMES.get(match[2].lower())
        if scale is None:
            raise UnitError(f"{value!r} has no known unit of time ({match[2]!r})", DURATION_HINT)
        number = _decimal(match[1])
        total += _not_negative(number, value, "duration", DURATION_HINT) * scale
        _bounded(total, value, "duration", DURATION_HINT)
        position = match.end()
    if not text.strip():
        raise UnitError(f"{value!r} is not a duration", DURATION_HINT)
    return float(total)


def format_duration(value: float, digits: int | None = None) -> str:
    """``7d``, ``2h30min``, ``300ms``, ``1.5s``; with ``digits`` one rounded unit (``2.5 h``).

    Sums of up to two units are written where they are exact; everything else in seconds.
    """
    number = _exact(value)
    if digits is not None:
        scales = tuple((f" {n}", s) for n, s in (*_CLOCK, *_SMALL))
        return "0 s" if not number else _scaled(number, scales, digits)
    for index, (name, scale) in enumerate(_CLOCK[:-1]):
        if number < scale:
            continue
        whole, rest = divmod(number, scale)
        following, size = _CLOCK[index + 1]
        if whole < 10_000 and not rest:  # noqa: PLR2004 - more digits than a reader counts
            return f"{_plain(whole)}{name}"
        if whole < 10_000 and not rest % size:  # noqa: PLR2004 - as above
            return f"{_plain(whole)}{name}{_plain(rest / size)}{following}"
    if 0 < number < 1 and number * 1000 == (number * 1000).to_integral_value():
        return f"{_plain(number * 1000)}ms"
    return f"{_plain(number)}s"


# --- shares and rates


def parse_share(value: object) -> float:
    """A fraction from 0 to 1: ``80%`` or ``0.8``.

    Raises:
        UnitError: it is no share, or outside 0 to 1 (so ``80`` is refused: it may mean either).

    """
    number, unit = _split(value, "share", SHARE_HINT)
    if unit not in {"", "%", "percent"}:
        raise UnitError(f"{value!r} is not a share", SHARE_HINT)
    share = number / 100 if unit else number
    if not 0 <= share <= 1:
        raise UnitError(f"{value!r} lies outside 0 to 100 %", SHARE_HINT)
    return float(share)


def format_share(value: float, digits: int | None = None) -> str:
    """``80%``; with ``digits`` rounded (``33.3 %``)."""
    percent = _exact(value) * 100
    return f"{_plain(percent)}%" if digits is None else f"{_plain(_rounded(percent, digits))} %"


def parse_rate(value: object, per: str = "day") -> float:
    """How many per ``per`` (a unit of time): ``50/day``, ``2%/week`` (a fraction), ``120 tok/s``, ``52 GB/s``.

    An item's name may carry an SI prefix before a known item (``GB``, ``GFLOP``, ``ktok``). A number without ``/`` is
    taken as already per ``per``.

    Raises:
        UnitError: it is no rate, or negative.

    """
    number, rest = _split(value, "rate", RATE_HINT)
    item, slash, time = (part.strip() for part in rest.partition("/"))
    if not slash and item.endswith("per day"):
        item, slash, time = item.removesuffix("per day").strip(), "/", "day"
    if item and not slash:
        raise UnitError(f"{value!r} has no unit of time", RATE_HINT)
    period = _TIMES.get(time) if slash else _TIMES[per]
    if period is None:
        raise UnitError(f"{value!r} has no known unit of time ({time!r})", RATE_HINT)
    scale = _item_scale(item, value)
    total = _bounded(_not_negative(number, value, "rate", RATE_HINT) * scale, value, "rate", RATE_HINT)
    return float(total * _TIMES[per] / period)


def is_share_rate(value: object) -> bool:
    """Whether the text is a rate of a share (``2%/day``), not of a count."""
    return isinstance(value, str) and re.fullmatch(rf"\s*{_NUMBER}\s*(%|percent)\s*/\s*\w+\s*", value) is not None


def _item_scale(item: str, value: object) -> Decimal:
    lower = item.lower()
    if lower in {"%", "percent"}:
        return Decimal("0.01")
    if lower in _SIZES and lower not in _PREFIXES:
        return Decimal(_SIZES[lower])
    for name in ("flop", "flops", "tok", "token", "tokens", ""):
        prefix = lower.removesuffix(name) if name else lower
        if lower.endswith(name) and prefix in _PREFIXES:
            return Decimal(_PREFIXES[prefix])
    if re.fullmatch(r"[a-z]+", lower):
        return Decimal(1)
    raise UnitError(f"{value!r} is not a rate ({item!r} is no item)", RATE_HINT)


def format_rate(value: float, per: str = "day", item: str = "", digits: int | None = None) -> str:
    """``50/day``, ``120 tok/s``, ``2%/day`` (item ``%``: ``value`` is a fraction)."""
    number = _exact(value)
    if item == "%":
        number *= 100
    shown = _plain(number) if digits is None else _plain(_rounded(number, digits))
    space = "" if item in {"", "%"} else " "
    return f"{shown}{space}{item}/{per}"


def format_count(value: float, digits: int = 3) -> str:
    """A rounded count for reading: ``134.5 M`` with 4 digits, ``49.2 k``, ``12``."""
    scales = ((" T", Decimal(10**12)), (" G", Decimal(10**9)), (" M", Decimal(10**6)), (" k", Decimal(10**3)))
    number = _exact(value)
    if number == number.to_integral_value() and abs(number) < 10_000:  # noqa: PLR2004 - read at a glance
        return _plain(number)
    return _scaled(number, (*scales, ("", Decimal(1))), digits)


# --- money


def parse_money(value: object) -> float:
    """US dollars in ``$3``, ``2.50 USD`` or a plain number. Other currencies are refused.

    Raises:
        UnitError: it is no amount, in another currency, or negative.

    """
    text = value
    if isinstance(value, str):
        text = value.strip().removeprefix("US").removeprefix("$")
    number, unit = _split(text, "amount of money", MONEY_HINT)
    if unit.lower() not in {"", "usd", "$", "dollar", "dollars"}:
        raise UnitError(f"{value!r} is not in US dollars", MONEY_HINT)
    return float(_bounded(_not_negative(number, value, "amount", MONEY_HINT), value, "amount", MONEY_HINT))


def format_money(value: float, digits: int | None = None) -> str:
    """``$3``, ``$2.5``; with ``digits`` rounded."""
    number = _exact(value)
    return f"${_plain(number if digits is None else _rounded(number, digits))}"


# --- dates

_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.?\s+([A-Za-z]{3,9})\.?,?\s+(\d{4})")
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_MONTH_ONLY = re.compile(r"(\d{4})-(\d{2})")


def parse_date(value: object) -> dt.date:
    """A date in ``2024-07-01`` (also with a time), ``20240701``, ``2024-07``, ``1 July 2024``, ``July 1, 2024``.

    Raises:
        UnitError: it is no date.

    """
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    parts = _date_parts(value.strip()) if isinstance(value, str) else None
    if parts is None:
        raise UnitError(f"{value!r} is not a date", DATE_HINT)
    try:
        return dt.date(*parts)
    except ValueError as error:
        raise UnitError(f"{value!r} is not a date: {error}", DATE_HINT) from error


def _date_parts(text: str) -> tuple[int, int, int] | None:
    for pattern in (_ISO, _COMPACT):
        if match := pattern.fullmatch(text):
            return int(match[1]), int(match[2]), int(match[3])
    if match := _MONTH_ONLY.fullmatch(text):
        return int(match[1]), int(match[2]), 1
    for pattern, month, day in ((_DAY_FIRST, 2, 1), (_MONTH_FIRST, 1, 2)):
        match = pattern.fullmatch(text)
        if match and match[month][:3].lower() in _MONTHS:
            return int(match[3]), _MONTHS.index(match[month][:3].lower()) + 1, int(match[day])
    return None


def format_date(value: dt.date) -> str:
    """ISO 8601: ``2024-07-01``."""
    return value.isoformat()
