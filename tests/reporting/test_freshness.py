import math

import pytest

from kistack.domain.facts import Profile, assumed, measured
from kistack.reporting.blocks import Figure, Paragraph
from kistack.reporting.freshness import freshness_blocks, freshness_document, kept_fresh


def profile(rate=0.01, **facts):
    found = {
        "freshness.changed_per_day": measured(rate, "snapshots", "1/day"),
        "freshness.changed_low": measured(rate / 2, "snapshots", "1/day"),
        "freshness.changed_high": measured(rate * 2, "snapshots", "1/day"),
        "scenario.horizon_days": assumed(90.0, "default", "day"),
    }
    found |= {f"scenario.{n}": assumed(v, "stated", "day") for n, v in facts.items()}
    return Profile(found)


def test_weights_decay_and_a_refreshed_index_does_not():
    [_, figure] = freshness_blocks(profile())
    assert isinstance(figure, Figure)
    assert figure.table.columns == ("day", "weights", "index")
    first, *_, last = figure.table.rows
    assert first == ("0", "100.0 %", "100.0 %")
    assert last == ("90", f"{100 * math.exp(-0.9):.1f} %", f"{100 * math.exp(-0.01):.1f} %")
    assert "measured: snapshots" in figure.caption
    assert "weights (not made again)" in figure.svg
    assert "index (made again daily)" in figure.svg


def test_what_is_stated_of_upkeep_counts():
    found = kept_fresh(profile(retrain_days=30.0, refresh_days=2.0))
    assert found == {"weights": 30.0, "index": 2.0}
    assert kept_fresh(profile(), index_seconds=7200) == {"weights": math.inf, "index": 7.0}
    document = freshness_document(profile(retrain_days=30.0))
    assert document["weights"] == {"every_days": 30.0, "oldest_share_true": pytest.approx(math.exp(-0.3))}
    assert freshness_document(profile())["weights"]["every_days"] is None
    [_, figure] = freshness_blocks(profile(retrain_days=30.0))
    # The day's share is told just before what is due: 90 days are three retrainings of 30.
    assert figure.table.rows[-1][1] == f"{100 * math.exp(-0.3):.1f} %"


def test_many_refreshes_are_drawn_as_their_mean():
    [_, figure] = freshness_blocks(profile(refresh_days=0.1))
    assert 'points="72.0,' in figure.svg


def test_where_nothing_changes_it_is_said():
    [_, said] = freshness_blocks(profile(0.0))
    assert isinstance(said, Paragraph)
    assert "nothing becomes stale" in said.text
