import json

import pytest

from kistack.bundle.archive import find_run
from kistack.bundle.differences import compare_runs
from kistack.domain.plan import Plan, Step
from kistack.reporting.differences import difference_page
from kistack.reporting.terminal import as_text


@pytest.fixture
def two(ran_place):
    """Retrieval alone, and with a reader taught to read."""
    return [find_run(ran_place.project, path.name) for path in sorted(ran_place.project.runs.iterdir())]


def test_plan_steps_numbers_and_items_that_changed_are_told(two):
    found = compare_runs(*two)
    assert "+- use: tune/toy" in found.plan
    assert "tune/toy" in {c.name for c in found.steps}
    assert found.versions == ()
    assert found.notes == ()
    change = next(n for n in found.numbers if (n.system, n.metric) == ("plan", "contained"))
    assert (change.before.value, change.after.value) == (0, 1)
    assert (change.paired.mean, change.paired.wins, change.paired.losses) == (1, 4, 0)
    assert {(i.before, i.after) for i in found.items if i.system == "plan"} == {
        ("unknown", f"1.{n}") for n in (0, 3, 6, 9)
    }
    assert not [i for i in found.items if i.system == "baseline"]
    json.dumps(found.to_json())
    text = as_text(difference_page(found), 200)
    assert "+100.0 points" in text
    assert "4 won, 0 lost" in text
    assert "equal on all 4" in text
    assert "expected: 1.9" in text


def test_the_same_run_differs_in_nothing(two):
    found = compare_runs(two[0], two[0])
    assert (found.plan, found.facts, found.versions, found.steps, found.items) == ((), (), (), (), ())
    text = as_text(difference_page(found))
    for said in ("The same plan.", "The same facts.", "The same machine and versions.", "The same steps"):
        assert said in text


def test_changed_facts_are_told_with_their_source_and_items_are_paired_by_id(ran_place, two):
    rows = [json.loads(line) for line in (ran_place.project.root / "pairs.jsonl").read_text().splitlines()]
    # Held-out items come in another order, and one of them is gone.
    (ran_place.project.root / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in reversed(rows[1:])))
    place = type(ran_place)(ran_place.scenario, host=ran_place.host)
    after = find_run(place.project, place.run(place.compose(Plan(steps=(Step(use="retrieve/toy"),)))).run)
    found = compare_runs(two[1], after)
    assert "pairs.test" in {c.name for c in found.facts}
    change = next(n for n in found.numbers if (n.system, n.metric) == ("plan", "contained"))
    assert (change.paired.count, change.paired.losses) == (3, 3)
    assert {i.question[-1] for i in found.items if i.system == "plan"} == {"3", "6", "9"}


def test_what_cannot_be_compared_is_said(two, ran_place):
    (two[0].folder / "profile.json").unlink()
    for system in two[0].record.systems.values():
        for path in (ran_place.project.work / "store" / "artifacts" / system.answers).glob("answers.jsonl"):
            path.unlink()
    first = find_run(ran_place.project, two[0].record.run)
    found = compare_runs(first, two[1])
    assert "no longer in the store" in " ".join(found.notes)
    assert "did not keep its facts" in " ".join(found.notes)
    assert all(n.paired is None for n in found.numbers)
    assert "Not compared" in as_text(difference_page(found))
