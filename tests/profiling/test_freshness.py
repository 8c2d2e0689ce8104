"""Change rates recovered from simulated histories; every source says what it is and how sure."""

import datetime as dt
import math
import random

import pytest

from kistack.domain.scenario import Scenario
from kistack.errors import DataError
from kistack.profiling.corpus import Corpus, load_corpus
from kistack.profiling.documents import Document
from kistack.profiling.freshness import (
    LONGEST_HALF_LIFE,
    State,
    compare,
    fit,
    freshness,
    freshness_facts,
    pieces_of,
    state_of,
)

START = dt.date(2024, 1, 1)


def day(n):
    return START + dt.timedelta(days=n)


def simulate(rate, days, documents=150, pieces=10, seed=0):
    """States of a corpus whose pieces are replaced with hazard ``rate`` per day."""
    generator = random.Random(seed)
    now = {f"d{d}": {p: (0, generator.expovariate(rate)) for p in range(pieces)} for d in range(documents)}
    states = []
    for date in days:
        for held in now.values():
            for piece, (version, due) in held.items():
                while due <= date:
                    version, due = version + 1, due + generator.expovariate(rate)  # noqa: PLW2901
                held[piece] = (version, due)
        texts = {d: frozenset(f"{p}.{v}" for p, (v, _) in held.items()) for d, held in now.items()}
        states.append(State(day(date), texts))
    return states


@pytest.mark.parametrize(("rate", "days"), [(0.02, (0, 30)), (0.02, (0, 10, 90)), (0.001, (0, 365, 730))])
def test_the_hazard_is_recovered_and_its_interval_covers_it(rate, days):
    covered = 0
    for seed in range(20):
        changed, low, high, removed, added = fit(compare(simulate(rate, days, seed=seed)))
        assert changed == pytest.approx(rate, rel=0.25)
        assert removed == 0
        assert added == 0
        covered += low <= rate <= high
    assert covered >= 16, "a 95 % interval covers the truth nearly always"


def test_additions_and_removals_are_kept_apart():
    before = State(day(0), {"a": frozenset("123"), "b": frozenset("456"), "gone": frozenset("78")})
    after = State(day(10), {"a": frozenset("12x"), "b": frozenset("45"), "new": frozenset("yz")})
    changes = compare([before, after])
    by_document = dict(zip(changes.documents, changes.counts, strict=True))
    assert by_document == {"a": (3, 1, 0, 0), "b": (3, 0, 1, 0), "gone": (2, 0, 2, 0), "new": (0, 0, 0, 2)}
    changed, _, _, removed, added = fit(changes)
    assert removed == pytest.approx(3 * changed)
    assert math.exp(-(changed + removed) * 10) == pytest.approx(4 / 8)
    assert added == pytest.approx(2 / 80)


def test_a_renamed_document_is_neither_removed_nor_added():
    before = State(day(0), {"old name": frozenset("123")})
    after = State(day(10), {"new name": frozenset("123")})
    assert fit(compare([before, after]))[0] == 0


def test_nothing_changed_and_everything_changed_are_both_finite():
    still = compare([State(day(0), {"a": frozenset("123")}), State(day(10), {"a": frozenset("123")})])
    changed, low, high, *_ = fit(still)
    assert (changed, low, high) == (0, 0, pytest.approx(3 / 30))
    fresh = compare([State(day(0), {"a": frozenset("123")}), State(day(10), {"a": frozenset("xyz")})])
    changed, *_ = fit(fresh)
    assert 0.1 < changed < 1


def test_states_with_nothing_in_common_to_compare():
    with pytest.raises(DataError, match="nothing in common"):
        fit(compare([State(day(0), {}), State(day(1), {"a": frozenset("1")})]))


def test_pieces_are_lines_and_sentences_without_spacing():
    assert pieces_of("One  two. Three four!\nfive\n\nfive\nv1.2 is out. so") == {
        "One two.",
        "Three four!",
        "five",
        "v1.2 is out. so",
    }


def test_dates_in_ids_are_left_out_where_ids_stay_distinct():
    dated = state_of([Document("a@2024-07-01", "", "x"), Document("b@2024-07-01", "", "y")], day(0))
    assert set(dated.pieces) == {"a", "b"}
    diary = state_of([Document("note-2024-07-01", "", "x"), Document("note-2024-07-02", "", "y")], day(0))
    assert set(diary.pieces) == {"note-2024-07-01", "note-2024-07-02"}


# --- sources


def make(folder, text="One.\nTwo.\nThree.\nFour.", count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"{n}.txt").write_text(text.replace("One", f"One of {n}"))
    return folder


def scenario(folder, **knowledge):
    return Scenario.model_validate(
        {"name": "x", "models": {"base": "hub:a/b"}, "knowledge": {"corpus": str(folder), **knowledge}}
    )


def measure(given, today=100):
    return freshness(given, load_corpus(given), day(today))


@pytest.mark.parametrize(
    ("changes", "rate", "half_life"),
    [("none", 0, LONGEST_HALF_LIFE), ("2%/day", 0.02, math.log(2) / 0.02), ("90d", math.log(2) / 90, 90)],
)
def test_declared_rates_override(tmp_path, changes, rate, half_life):
    found = measure(scenario(make(tmp_path / "docs"), changes=changes))
    assert (found.source, found.origin) == ("declared", "declared")
    assert found.changed_per_day == pytest.approx(rate)
    assert found.half_life_days == pytest.approx(half_life)
    assert changes in found.why


def test_snapshots_are_compared_in_order_with_the_corpus(tmp_path):
    make(tmp_path / "old")
    make(tmp_path / "older", "One.\nTwo.\nThree.\nother.")
    docs = make(tmp_path / "docs", "One.\nTwo.\nnew.\nFour.")
    given = scenario(
        docs, snapshots={str(day(50)): str(tmp_path / "old"), str(day(0)): str(tmp_path / "older")}, as_of=str(day(100))
    )
    found = measure(given, today=110)
    assert (found.source, found.origin) == ("snapshots", "measured")
    assert found.changed_per_day == pytest.approx(-math.log(0.75) / 50, rel=1e-3)
    assert found.low <= found.changed_per_day <= found.high
    assert found.age_days == 10
    assert "3 dated states from 2024-01-01" in found.why
    undated = measure(given.model_copy(update={"knowledge": given.knowledge.model_copy(update={"as_of": None})}))
    assert "is today" in undated.why


def test_snapshot_dates_must_rise(tmp_path):
    make(tmp_path / "old")
    given = scenario(make(tmp_path / "docs"), snapshots={str(day(0)): str(tmp_path / "old")}, as_of=str(day(0)))
    with pytest.raises(DataError, match="2024-01-01 and 2024-01-01") as caught:
        measure(given)
    assert "as_of" in caught.value.hint


def test_dates_of_documents_give_a_guess_that_says_so(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for n in range(10):
        (docs / f"{n}-{day(n * 10)}.txt").write_text("text")
    found = measure(scenario(docs))
    assert (found.source, found.origin, found.low) == ("dates", "assumed", 0)
    assert found.changed_per_day == pytest.approx(1 / 55)
    assert found.age_days == 55
    assert "unsure" in found.why


def test_without_any_sign_an_assumption_with_its_source(tmp_path):
    found = measure(scenario(make(tmp_path / "docs")))
    assert (found.source, found.origin, found.age_days) == ("assumed", "assumed", None)
    assert "Factbook" in found.why
    assert found.low < found.changed_per_day < found.high


def test_facts_carry_unit_source_and_reason(tmp_path):
    facts = freshness_facts(measure(scenario(make(tmp_path / "docs"), changes="2%/day", as_of=str(day(90)))))
    assert facts["freshness.changed_per_day"].value == 0.02
    assert facts["freshness.changed_per_day"].unit == "1/day"
    assert facts["freshness.source"].value == "declared"
    assert facts["freshness.age_days"].value == 10
    assert "freshness.added_per_day" not in facts
    undeclared = freshness(scenario(tmp_path), Corpus((Document("a", "", "x"),)), day(0))
    assert "freshness.age_days" not in freshness_facts(undeclared)
