"""Numbers as a reader sees them: with a unit, and no more digits than they deserve."""

from __future__ import annotations

import math

from kistack.domain.facts import Value
from kistack.domain.records import Measurement
from kistack.units import format_count, format_duration, format_size

#: Metrics between 0 and 1 that are shown in percent.
SHARES = frozenset(
    {
        "contained", "exact_match", "f1", "rouge_l", "rouge_1", "rouge_2", "mrr", "coverage",
        "lexical_support", "entailment", "hallucination_rate", "citation_precision", "format_valid", "judged_correct",
        "judge_agreement", "abstention_accuracy", "answer_rate", "abstention_recall", "abstention_precision",
    }
)  # fmt: skip
#: What comes before the number of passages in the names of shares.
_RANKED = ("recall@", "precision@", "ndcg@")
DASH = "-"
_UNITS = frozenset({"B", "s", "1/s", "USD", "J"})
#: From here on counts are rounded.
_MANY = 1_000_000


def shown(value: float, unit: str = "") -> str:
    """A number with its unit: bytes and seconds in the unit that fits, money in dollars, others to three digits."""
    if not math.isfinite(value):
        return DASH
    if unit == "B":
        return format_size(value, 3)
    if unit == "s":
        return format_duration(value, 3)
    if unit == "USD":
        return f"${value:,.2f}"
    if unit == "1/s":
        return f"{significant(value)}/s"
    return f"{significant(value)} {unit}".rstrip()


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, large ones grouped by thousands."""
    value = float(f"{value:.{digits}g}")
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(places, 8)}f}"


def fact_text(value: Value, unit: str) -> str:
    """A fact's value for a table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, str):
        return value or DASH
    return _number_text(float(value), unit)


def _number_text(number: float, unit: str) -> str:
    match unit:
        case "share":
            return percent(number)
        case "B/s":
            return f"{format_size(number, 3)}/s"
        case "1/day":
            return f"{significant(100 * number)} %/day" if abs(number) < 1 else f"{significant(number)}/day"
        case "FLOP/s":
            count = format_count(number, 3)
            return count + ("" if count[-1:].isalpha() else " ") + unit
        case "" | "count" if number.is_integer() or abs(number) >= _MANY:
            return f"{number:,.0f}" if abs(number) < _MANY else format_count(number, 3)
        case _:
            return shown(number, unit)


def percent(value: float) -> str:
    """A share in percent, to one place."""
    return f"{100 * value:.1f} %"


def is_share(metric: str) -> bool:
    """Whether a metric lies between 0 and 1 and is shown in percent."""
    return metric in SHARES or metric.startswith(_RANKED)


def metric_text(metric: str, m: Measurement) -> str:
    """A measured metric with its 95 % interval where it has one."""
    if is_share(metric):
        value, low, high = (f"{100 * n:.1f}" for n in (m.value, m.low, m.high))
        value += " %"
    else:
        # A score's name says what it counts; only sizes, times and rates need their unit at each number.
        unit = m.unit if m.unit in _UNITS else ""
        value, low, high = (shown(n, unit) for n in (m.value, m.low, m.high))
    return value if m.low == m.high else f"{value} [{low}, {high}]"


def with_range(value: float, ends: tuple[float, float], unit: str = "") -> str:
    """A number with its interval, where it has one."""
    low, high = ends
    return shown(value, unit) if low == high else f"{shown(value, unit)} [{shown(low, unit)}, {shown(high, unit)}]"


def with_raw(value: float, raw: float, unit: str = "") -> str:
    """A predicted number, and what it was before calibration where a reader would see the difference."""
    told, stated = shown(value, unit), shown(raw, unit)
    return told if told == stated else f"{told} ({stated} raw)"


def ratio(measured: float, predicted: float) -> str:
    """How many times the prediction the measurement was."""
    if predicted <= 0 or not math.isfinite(measured):
        return DASH
    return f"{measured / predicted:.2f}x"
