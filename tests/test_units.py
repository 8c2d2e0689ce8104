"""Units: what people write is parsed, what is printed parses back to the equal value."""

import contextlib
import datetime as dt
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack import units
from kistack.errors import InputError

positive = st.floats(min_value=0, max_value=1e15, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GiB", 2 * 1024**3),
        ("500 MB", 500_000_000),
        ("1.5e9", 1_500_000_000),
        ("16G", 16_000_000_000),
        ("3 ki", 3072),
        ("1_000", 1000),
        ("0.5 kB", 500),
        ("12 bytes", 12),
        (7, 7),
        (1.5e3, 1500),
    ],
)
def test_sizes(text, expected):
    assert units.parse_size(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("300ms", 0.3),
        ("7d", 604_800),
        ("2h30m", 9000),
        ("2h 30min", 9000),
        ("1 week", 604_800),
        ("1.5 hours", 5400),
        ("3 months", 90 * 86_400),
        ("10us", 1e-5),
        ("0", 0),
        (0, 0),
        (dt.timedelta(minutes=2), 120),
    ],
)
def test_durations(text, expected):
    assert units.parse_duration(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "per", "expected"),
    [
        ("2%/day", "day", 0.02),
        ("14 %/week", "day", 0.02),
        ("50/day", "day", 50),
        ("50 per day", "day", 50),
        ("2/h", "day", 48),
        ("120 tok/s", "s", 120),
        ("5 ktok/s", "s", 5000),
        ("52 GB/s", "s", 52e9),
        ("2GiB/s", "s", 2 * 1024**3),
        ("160 GFLOP/s", "s", 160e9),
        ("120 questions/min", "s", 2),
        (500, "day", 500),
    ],
)
def test_rates(text, per, expected):
    assert units.parse_rate(text, per) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "expected"), [("$3", 3), ("2.50 USD", 2.5), ("US$0.002", 0.002), (0, 0), ("4", 4)])
def test_money(text, expected):
    assert units.parse_money(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-07-01", dt.date(2024, 7, 1)),
        ("2024/7/1", dt.date(2024, 7, 1)),
        ("20240701", dt.date(2024, 7, 1)),
        ("2024-07", dt.date(2024, 7, 1)),
        ("2024-07-01T12:30:00Z", dt.date(2024, 7, 1)),
        ("1 July 2024", dt.date(2024, 7, 1)),
        ("Jul 1st, 2024", dt.date(2024, 7, 1)),
        (dt.datetime(2024, 7, 1, 12, tzinfo=dt.UTC), dt.date(2024, 7, 1)),
    ],
)
def test_dates(text, expected):
    assert units.parse_date(text) == expected


@pytest.mark.parametrize(
    ("parse", "value", "names", "remedy"),
    [
        (units.parse_size, "8 gigs", "gigs", "2GiB"),
        (units.parse_size, "-2GiB", "negative", "2GiB"),
        (units.parse_size, "big", "'big'", "2GiB"),
        (units.parse_size, "1e999", "1e999", "2GiB"),
        (units.parse_size, True, "True", "2GiB"),
        (units.parse_size, math.nan, "nan", "2GiB"),
        (units.parse_size, None, "None", "2GiB"),
        (units.parse_size, "1e27GB", "larger than any size", "2GiB"),
        (units.parse_duration, "1e400d", "larger than any duration", "7d"),
        (units.parse_duration, "1e99d", "larger than any duration", "7d"),
        (units.parse_duration, f"1e{'9' * 5000}d", "larger than any duration", "7d"),
        (units.parse_rate, "1e400/day", "larger than any rate", "50/day"),
        (units.parse_money, "$1e400", "larger than any amount", "$3"),
        (units.parse_share, "1e400%", "outside", "80%"),
        (units.parse_duration, 90, "no unit", "7d"),
        (units.parse_duration, "90", "no unit", "7d"),
        (units.parse_duration, "3 fortnights", "fortnights", "7d"),
        (units.parse_duration, "", "''", "7d"),
        (units.parse_duration, "2h and more", "2h and more", "7d"),
        (units.parse_duration, "-2h", "negative", "7d"),
        (units.parse_share, "130%", "130%", "80%"),
        (units.parse_share, 80, "80", "80%"),
        (units.parse_share, "80 apples", "apples", "80%"),
        (units.parse_rate, "2%", "no unit of time", "50/day"),
        (units.parse_rate, "5/parsec", "parsec", "50/day"),
        (units.parse_rate, "5 4/day", "5 4", "50/day"),
        (units.parse_rate, "often", "often", "50/day"),
        (units.parse_money, "3 EUR", "3 EUR", "2.50 USD"),
        (units.parse_money, "-1", "negative: an amount", "2.50 USD"),
        (units.parse_date, "2024-13-01", "2024-13-01", "2024-07-01"),
        (units.parse_date, "yesterday", "yesterday", "2024-07-01"),
        (units.parse_date, "1 Foo 2024", "Foo", "2024-07-01"),
        (units.parse_date, 20240701, "20240701", "2024-07-01"),
    ],
)
def test_what_does_not_parse_is_named_with_a_remedy(parse, value, names, remedy):
    with pytest.raises(units.UnitError) as caught:
        parse(value)
    assert names in str(caught.value)
    assert remedy in caught.value.hint
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 2


@settings(deadline=None)
@given(st.integers(0, 10**18))
def test_sizes_round_trip(value):
    assert units.parse_size(units.format_size(value)) == value


@settings(deadline=None)
@given(st.one_of(positive, st.integers(0, 10**9).map(float), st.integers(0, 10**6).map(lambda n: n * 60.0)))
def test_durations_round_trip(value):
    assert units.parse_duration(units.format_duration(value)) == value


@settings(deadline=None)
@given(positive, st.sampled_from(["", "tok", "FLOP", "%"]), st.sampled_from(["day", "s", "week"]))
def test_rates_round_trip(value, item, per):
    assert units.parse_rate(units.format_rate(value, per, item), per) == value


@settings(deadline=None)
@given(st.floats(0, 1))
def test_shares_round_trip(value):
    assert units.parse_share(units.format_share(value)) == value


@settings(deadline=None)
@given(positive)
def test_money_round_trips(value):
    assert units.parse_money(units.format_money(value)) == value


@settings(deadline=None)
@given(st.dates(min_value=dt.date(1000, 1, 1)))
def test_dates_round_trip(value):
    assert units.parse_date(units.format_date(value)) == value


@settings(deadline=None)
@given(
    st.text(max_size=20),
    st.sampled_from(
        [
            units.parse_size,
            units.parse_duration,
            units.parse_rate,
            units.parse_share,
            units.parse_money,
            units.parse_date,
        ]
    ),
)
def test_any_text_parses_or_is_refused_as_input(text, parse):
    with contextlib.suppress(units.UnitError):
        assert parse(text) is not None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.format_size(2 * 1024**3), "2GiB"),
        (units.format_size(500_000_000), "500MB"),
        (units.format_size(134_515_008), "134515008B"),
        (units.format_size(134_515_008, 4), "134.5 MB"),
        (units.format_size(0, 3), "0 B"),
        (units.format_duration(604_800), "7d"),
        (units.format_duration(9000), "2h30min"),
        (units.format_duration(0.3), "300ms"),
        (units.format_duration(0), "0s"),
        (units.format_duration(9000, 2), "2.5 h"),
        (units.format_duration(0, 2), "0 s"),
        (units.format_share(0.8), "80%"),
        (units.format_share(1 / 3, 3), "33.3 %"),
        (units.format_rate(0.02, item="%"), "2%/day"),
        (units.format_rate(123.456, "s", "tok", digits=3), "123 tok/s"),
        (units.format_money(2.5), "$2.5"),
        (units.format_count(134_515_008, 4), "134.5 M"),
        (units.format_count(49_152), "49.2 k"),
        (units.format_count(9999), "9999"),
    ],
)
def test_printing(shown, expected):
    assert shown == expected


def test_a_rate_of_a_share_is_told_from_a_rate_of_items():
    assert units.is_share_rate("2%/day")
    assert not units.is_share_rate("2/day")
    assert not units.is_share_rate(0.02)
