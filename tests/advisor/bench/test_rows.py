import pytest

from kistack.advisor.bench.rows import Row, to_base


@pytest.mark.parametrize(
    ("measured", "unit", "base"),
    [
        (1.5, "GiB", 1.5 * 2**30),
        (438, "MB", 438e6),
        (5, "GB (about)", 5e9),
        (1397.31, "GB/s", 1397.31e9),
        (80, "tokens/s", 80),
        (80, "tok/s", 80),
        (20, "ms/token", 50),
        (90, "s", 90),
        (14, "ms", 0.014),
    ],
)
def test_units_are_turned_into_base_units(measured, unit, base):
    row = Row(kind="x", model="m", measured=measured, unit=unit)
    assert to_base(row) == pytest.approx(base)


@pytest.mark.parametrize("unit", ["furlongs", "GB/day", "points", ""])
def test_other_units_are_not(unit):
    found = to_base(Row(kind="x", model="m", measured=1, unit=unit))
    assert found is None or unit == ""
