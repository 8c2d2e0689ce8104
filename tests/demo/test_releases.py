import csv
import re
from collections import defaultdict
from importlib.resources import files
from itertools import pairwise

import pytest

from kistack.demo.releases import DATES, KINDS, LATEST, facts_as_of, freshness_truth, known_date, load_table
from kistack.errors import DataError

TABLE = files("kistack.demo").joinpath("releases.csv")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
VERSION = re.compile(r"\d+(\.\d+)+")


def test_table_is_compact_and_names_many_products():
    rows = load_table()
    assert len(TABLE.read_bytes()) < 300_000
    assert len({row.product for row in rows}) >= 110
    assert len({row.title for row in rows}) == len({row.product for row in rows})
    assert len({(row.product, row.cycle, row.kind) for row in rows}) == len(rows)


def test_table_reads_as_the_csv_says():
    lines = list(csv.reader(TABLE.read_text(encoding="utf-8").splitlines()))
    assert lines[0] == ["product", "title", "cycle", "fact", *DATES]
    read = [[r.product, r.title, r.cycle, r.kind, *(r.values.get(d, "") for d in DATES)] for r in load_table()]
    assert read == lines[1:]


def test_values_are_dates_and_versions_only():
    for row in load_table():
        assert row.kind in KINDS
        assert bool(row.cycle) == (row.kind != "newest_cycle")
        wanted = DATE if row.kind == "end_of_life" else VERSION
        assert all(wanted.fullmatch(value) for value in row.values.values()), row


def test_no_title_stands_inside_another():
    titles = sorted({row.title for row in load_table()})
    inside = [(a, b) for a in titles for b in titles if a != b and re.search(rf"(?<!\w){re.escape(a)}(?!\w)", b)]
    assert inside == []


def test_licence_and_origin_lie_beside_the_table():
    folder = files("kistack.demo")
    assert "Permission is hereby granted, free of charge" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
    notice = folder.joinpath("NOTICE.md").read_text(encoding="utf-8")
    assert "endoflife.date" in notice
    assert all(day in notice for day in DATES)


@pytest.mark.parametrize("day", DATES)
def test_facts_as_of_a_date_are_the_cells_of_its_column(day):
    facts = facts_as_of(day)
    assert {(f.product, f.cycle, f.kind): f.value for f in facts} == {
        (r.product, r.cycle, r.kind): r.values[day] for r in load_table() if day in r.values
    }
    assert len({f.id for f in facts}) == len(facts)


def test_a_day_between_two_dates_knows_what_the_earlier_one_did():
    assert known_date("2024-01-15") == "2023-07-01"
    assert facts_as_of("2024-01-15") == facts_as_of("2023-07-01")
    assert facts_as_of("2031-05-05") == facts_as_of(LATEST)


def test_since_is_where_the_unbroken_stretch_of_equal_values_begins():
    rows = {(r.product, r.cycle, r.kind): r.values for r in load_table()}
    for fact in facts_as_of(LATEST):
        values = rows[fact.product, fact.cycle, fact.kind]
        stretch = DATES[DATES.index(fact.since) :]
        assert {values.get(day) for day in stretch} == {fact.value}
        before = DATES.index(fact.since) - 1
        assert before < 0 or values.get(DATES[before]) != fact.value


@pytest.mark.parametrize("wrong", ["yesterday", "2022-13-01", "", "2021-12-31"])
def test_a_date_that_is_none_or_too_early_is_refused(wrong):
    with pytest.raises(DataError) as caught:
        facts_as_of(wrong)
    assert DATES[0] in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("first", "second"), list(pairwise(DATES)))
def test_turnover_counts_the_table(first, second):
    cells = defaultdict(dict)
    for line in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()):
        cells[line["product"], line["cycle"], line["fact"]] = (line[first], line[second])
    both = [(a, b) for a, b in cells.values() if a and b]
    truth = freshness_truth(first, second)
    assert truth.both == len(both)
    assert truth.changed == sum(a != b for a, b in both)
    assert truth.added == sum(bool(b) and not a for a, b in cells.values())
    assert truth.removed == sum(bool(a) and not b for a, b in cells.values())
    assert 0.13 <= truth.share <= 0.24


def test_turnover_of_a_date_with_itself_is_nothing():
    truth = freshness_truth(LATEST, LATEST)
    assert (truth.share, truth.changed, truth.added, truth.removed) == (0.0, 0, 0, 0)
