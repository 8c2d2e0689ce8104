"""The staleness test on toys: half of the products got a new release since the snapshot."""

import json

import pytest

from kistack.bundle.workspace import Workspace
from kistack.errors import InputError
from kistack.reporting.markdown import render
from kistack.reporting.staleness import staleness_page
from kistack.sweeping.drift import earlier
from kistack.sweeping.staleness import run_staleness

#: Each runs real plans in workers: seconds a test.
pytestmark = pytest.mark.system
SCENARIO = """\
schema: 1
name: toy-desk
task: {kind: facts, metric: contained}
knowledge:
  corpus: {path: documents, licence: MIT}
  pairs: pairs.jsonl
  as_of: 2026-01-01
  snapshots: {2025-01-01: before, 2024-01-01: long-before}
models: {base: "toy:base"}
limits: {memory: 4GB}
"""
#: Every other product's answer changed; the last is new.
CHANGED = range(0, 12, 2)


def answer(n, then):
    return f"1.{n}" if then and n in CHANGED else f"2.{n}" if n in CHANGED else f"1.{n}"


@pytest.fixture
def drifting(tmp_path, request):
    root = tmp_path / "drifting"
    for folder, then in (("documents", False), ("before", True), ("long-before", True)):
        (root / folder).mkdir(parents=True)
        for n in range(12):
            if n == 11 and then:
                continue
            text = f"The latest release of Product{n} is {answer(n, then)}\n"
            (root / folder / f"Product{n}.md").write_text(text)
    rows = [
        {
            "id": str(n),
            "question": f"What is the latest release of Product{n}",
            "answer": answer(n, False),
            "gold": [f"Product{n}.md"],
            "group": str(n),
            "split": "train" if n in {4, 5, 6, 7} else "test",
            **({"date": "2025-06-01" if n in CHANGED or n == 11 else "2024-01-01"} if request.param else {}),
        }
        for n in range(12)
    ]
    (root / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (root / "kistack.yaml").write_text(SCENARIO)
    return root


dated = pytest.mark.parametrize("drifting", [True], indirect=True)
both = pytest.mark.parametrize("drifting", [True, False], ids=["dates", "documents"], indirect=True)


@pytest.fixture
def place(drifting, toy_host):
    return Workspace.find(drifting, host=toy_host)


@both
def test_questions_are_told_apart_by_dates_or_by_the_documents(place, tmp_path):
    found = earlier(place.scenario, "", tmp_path / "then")
    assert found.as_of.isoformat() == "2025-01-01"
    assert {g: len(n) for g, n in found.groups.items()} == {"changed": 4, "new": 1, "stood": 3}
    # Of the four training pairs two have changed: what was not true yet cannot have been learnt.
    assert (found.learnt, found.pairs) == (2, 4)
    assert [s.as_of.year for s in found.scenario.knowledge.snapshots] == [2024]
    assert found.scenario.knowledge.corpus[0].path.name == "before"


@dated
def test_reindexing_restores_what_changed_and_costs_only_the_index(place):
    found = run_staleness(place, plan="retrieve+tune")
    built, reindexed, retrained = found.states
    score = {s.name: {g: m.value for g, m in s.scores.items()} for s in found.states}
    assert score["built"] == {"changed": 0, "new": 0, "stood": 1}
    assert score["reindexed"] == {"changed": 1, "new": 1, "stood": 1}
    assert score["retrained"] == {"changed": 1, "new": 1, "stood": 1}
    assert reindexed.steps == ("retrieve/toy",)
    assert "tune/toy" in retrained.steps
    assert "tune/toy" in built.steps
    assert 0 < reindexed.seconds < retrained.seconds
    assert found.differences["reindexed"]["changed"].mean == 1
    assert found.differences["retrained"]["changed"].mean == 0
    assert found.groups == {"changed": 4, "new": 1, "stood": 3}
    assert json.loads(json.dumps(found.to_json()))["techniques"] == "retrieve+tune"
    assert place.project.ledger().studies("staleness") == [json.loads(json.dumps(found.to_json()))]
    # Stale answers say nothing about predictions of a fresh plan.
    assert place.project.ledger().runs() == []
    text = render(staleness_page(found))
    assert "after re-indexing, changed answers: +100.0 points" in text
    assert found.advice.then in text


@dated
def test_weights_alone_are_not_helped_by_an_index(place):
    found = run_staleness(place, plan="tune")
    built, reindexed, retrained = found.states
    assert reindexed.steps == ()
    assert reindexed.seconds == 0
    assert reindexed.scores == built.scores
    assert "tune/toy" in retrained.steps


@dated
def test_the_same_command_goes_on_and_nothing_is_made_twice(place):
    started = []
    first = run_staleness(place, plan="retrieve")
    second = run_staleness(Workspace(place.scenario, host=place.host), plan="retrieve", on_event=started.append)
    assert not [e for e in started if type(e).__name__ == "StepStarted"]
    assert second.study == first.study
    assert second.states == first.states
    assert len(place.project.ledger().studies("staleness")) == 1


@dated
def test_the_advised_plan_is_tested_and_the_advice_asked_at_both_dates(place):
    found = run_staleness(place)
    assert found.techniques == found.advice.then
    assert found.advice.holds == (found.advice.then == found.advice.now)
    assert found.advice.moved["corpus.documents"] == ("11", "12")


@dated
def test_doing_nothing_can_be_tested_too(place):
    found = run_staleness(place, plan="nothing")
    assert {s.scores["changed"].value for s in found.states} == {0}


@dated
def test_bad_input_is_one_line_and_a_remedy(place, drifting):
    with pytest.raises(InputError, match="no snapshot of '2020-01-01'") as caught:
        run_staleness(place, since="2020-01-01")
    assert "2024-01-01" in caught.value.hint
    with pytest.raises(InputError, match="fly"):
        run_staleness(place, plan="fly")
    for n in range(12):
        (drifting / "before" / f"Product{n}.md").write_text((drifting / "documents" / f"Product{n}.md").read_text())
    rows = [json.loads(line) for line in (drifting / "pairs.jsonl").read_text().splitlines()]
    rows = [{k: v for k, v in r.items() if k != "date"} for r in rows]
    (drifting / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    still = Workspace.find(drifting, host=place.host)
    with pytest.raises(InputError, match="no held-out question has another answer"):
        run_staleness(still, since="2025-01-01", plan="retrieve")
    (drifting / "kistack.yaml").write_text("\n".join(x for x in SCENARIO.splitlines() if "snapshots" not in x))
    with pytest.raises(InputError, match="names no older state"):
        run_staleness(Workspace.find(drifting, host=place.host))
