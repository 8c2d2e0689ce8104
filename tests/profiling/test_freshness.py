"""Change rates recovered from simulated histories; every source says what it is and how sure."""

import datetime as dt
import math

import pytest

from kistack.domain.scenario import Scenario
from kistack.errors import DataError
from kistack.profiling.corpus import Corpus, load_corpus
from kistack.profiling.documents import Document
from kistack.profiling.freshness import LONGEST_HALF_LIFE, freshness, freshness_facts, part_rates, survey

START = dt.date(2024, 1, 1)


def day(n):
    return START + dt.timedelta(days=n)


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
    with pytest.raises(
        DataError, match="a snapshot is of 2024-01-01, and the documents themselves of 2024-01-01"
    ) as caught:
        measure(given)
    assert "as_of" in caught.value.hint
    make(tmp_path / "older")
    twice = [{"path": str(tmp_path / name), "as_of": str(day(0))} for name in ("old", "older")]
    with pytest.raises(DataError, match="two snapshots have the date 2024-01-01"):
        measure(scenario(tmp_path / "docs", snapshots=twice, as_of=str(day(9))))


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


# --- parts and folders


def moving(folder, stale, fresh, share):
    """``stale`` holds the same lines as before, ``share`` of each line in ``fresh`` was rewritten."""
    for name, now in ((stale, 0), (fresh, share)):
        where = folder / name
        where.mkdir(parents=True, exist_ok=True)
        for n in range(20):
            lines = [f"{name} {n} says {i} {'anew' if i < 10 * now else ''}" for i in range(10)]
            (where / f"{name}-{n}.md").write_text("\n".join(lines))


@pytest.fixture
def parted(tmp_path):
    """Two parts, and a snapshot of both that is a hundred days old; half of the notes have changed since."""
    moving(tmp_path / "old", "manual", "notes", 0)
    moving(tmp_path / "now", "manual", "notes", 0.5)
    return tmp_path


def parts_of(folder, snapshots=True, **marks):
    corpus = [{"path": str(folder / "now" / n), **marks.get(n, {})} for n in ("manual", "notes")]
    knowledge = {"corpus": corpus, "as_of": str(day(100))}
    if snapshots:
        knowledge["snapshots"] = {str(day(0)): str(folder / "old")}
    return Scenario.model_validate({"name": "x", "models": {"base": "hub:a/b"}, "knowledge": knowledge})


def surveyed(given):
    return survey(given, load_corpus(given), day(100))


def test_every_part_has_its_own_rate_from_snapshots_of_all(parted):
    found = surveyed(parts_of(parted))
    assert found.parts["manual"].changed_per_day == 0
    assert found.parts["notes"].changed_per_day == pytest.approx(math.log(2) / 100, rel=1e-6)
    assert found.parts["notes"].half_life_days == pytest.approx(100, rel=1e-6)
    assert found.overall.changed_per_day == pytest.approx(-math.log(0.75) / 100, rel=1e-6)
    assert [(i.both, i.changed) for i in found.overall.intervals] == [(400, 100)]
    facts = part_rates(found)
    assert facts["part.notes.changed_low"].value < facts["part.notes.changed_per_day"].value
    assert facts["part.notes.changed_high"].value > facts["part.notes.changed_per_day"].value
    assert facts["part.notes.half_life_days"].unit == "day"
    assert facts["part.manual.changed_per_day"].why.startswith("snapshots: ")
    assert facts["part.manual.changed_per_day"].source == "measured"


def test_a_snapshot_without_folders_of_the_parts_is_placed_by_where_documents_are_now(parted):
    flat = parted / "flat"
    flat.mkdir()
    for file in (parted / "old").rglob("*.md"):
        file.rename(flat / file.name)
    (parted / "old").rename(parted / "emptied")
    flat.rename(parted / "old")
    found = surveyed(parts_of(parted))
    assert found.parts["manual"].changed_per_day == 0
    assert found.parts["notes"].changed_per_day == pytest.approx(math.log(2) / 100, rel=1e-6)


def test_a_part_may_declare_its_rate_and_the_whole_is_their_mean(parted):
    found = surveyed(parts_of(parted, notes={"changes": "2%/day"}))
    notes = found.parts["notes"]
    assert (notes.source, notes.origin, notes.changed_per_day) == ("declared", "declared", 0.02)
    assert found.parts["manual"].source == "snapshots"
    assert 0.009 < found.overall.changed_per_day < 0.011
    assert found.overall.source == "snapshots"
    assert "notes (" in found.overall.why
    alone = surveyed(parts_of(parted, False, notes={"changes": "2%/day"}, manual={"changes": "none"}))
    assert (alone.overall.source, alone.overall.origin) == ("declared", "declared")
    guessed = surveyed(parts_of(parted, False, notes={"changes": "2%/day"}))
    assert (guessed.overall.source, guessed.overall.origin) == ("assumed", "assumed")


def test_folders_of_one_part_are_told_apart_where_their_rates_are(parted):
    given = scenario(parted / "now", as_of=str(day(100)), snapshots={str(day(0)): str(parted / "old")})
    found = surveyed(given)
    assert set(found.folders) == {("now", "manual"), ("now", "notes")}
    facts = part_rates(found)
    assert "part.now.changed_per_day" not in facts
    assert facts["part.now/notes.changed_per_day"].value == pytest.approx(math.log(2) / 100, rel=1e-5)
    moving(parted / "now", "manual", "notes", 0)
    assert surveyed(given).folders == {}, "nothing changed in either"
