import datetime as dt

import pytest

from kistack.domain.facts import assumed, declared, measured
from kistack.tui.facts import KEYS, corpus_tree, key_of, sections, tally, timeline
from kistack.tui.stating import describe, stated, value_text


def test_every_fact_stands_under_its_heading_with_its_source(opened):
    found = dict(sections(opened.facts))
    assert "The documents" in found
    rows = {r.fact: r for rows in found.values() for r in rows}
    assert rows["scenario.limit_memory"].source == "declared"
    assert rows["scenario.limit_memory"].key == "limits.memory"
    assert rows["corpus.documents"].value == "12"
    assert not rows["corpus.documents"].key
    assert not any(name.endswith(".identity") for name in rows)
    assert "measured" in tally(opened.facts)


@pytest.mark.parametrize("fact", [*KEYS, "serving.ram_free", "hardware.gpu_free", "serving.bandwidth"])
def test_facts_that_may_be_stated_name_a_key_of_the_scenario(opened, fact):
    key = key_of(fact)
    assert describe(key)
    now = value_text(opened.scenario, key)
    if now:
        stated(opened, {key: now})


def test_what_was_counted_between_dates_is_shown_first():
    facts = {
        "freshness.changed_per_day": measured(0.001, "x", "1/day"),
        "freshness.intervals": measured(
            "2024-01-01 to 2024-07-01: 3.5% of 200; 2024-07-01 to 2025-01-01: 4.0% of 210", "x"
        ),
    }
    found = timeline(facts, [dt.date(2024, 1, n) for n in range(1, 10)])
    assert found.bars
    assert found.labels == ("2024-07-01", "2025-01-01")
    assert found.values == (3.5, 4.0)


def test_else_the_dates_of_documents_else_what_the_rate_means():
    facts = {"freshness.changed_per_day": declared(0.01, "x", "1/day")}
    days = [dt.date(2024, 1 + n % 3, 5) for n in range(9)]
    assert timeline(facts, days).labels == ("2024-01", "2024-02", "2024-03")
    years = [*days, dt.date(2019, 1, 1)]
    assert timeline(facts, years).labels == ("2019", "2024")
    found = timeline(facts)
    assert not found.bars
    assert found.values[0] == 100
    assert 10 < found.values[-1] < 15  # three half-lives
    assert timeline({"freshness.changed_per_day": assumed(0.0, "x", "1/day")}).values[-1] == 100
    assert timeline({}) is None


def test_the_tree_adds_sizes_up_and_puts_the_largest_first():
    tree = corpus_tree("docs", [(("a", "x.md"), 10), (("a", "y.md"), 30), (("b.md",), 5), (("c", "d", "z.md"), 100)])
    assert (tree.size, tree.files) == (145, 4)
    assert [b.name for b in tree.branches] == ["c", "a", "b.md"]
    assert tree.branches[1].branches[0].name == "y.md"
    assert tree.branches[2].inner is None
