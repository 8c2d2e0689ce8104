import pytest

from kistack.domain.advice import Candidate, Reason, Recommendation
from kistack.domain.plan import Plan, Step
from kistack.domain.records import Estimate
from kistack.reporting.advice import advice_document, advice_page
from kistack.reporting.terminal import as_text


def candidate(name, quality):
    steps = tuple(Step(use=f"{part}/x") for part in name.split("+"))
    return Candidate(Plan(steps=steps), Estimate({"seconds": 1.0}), quality, quality - 5, quality + 5)


def flip(number):
    return {"fact": f"f{number}", "sentence": f"tune would win if fact {number} were less", "distance": number,
            "confirmed": number != 1}  # fmt: skip


def page(**context):
    advice = Recommendation(
        (candidate("retrieve", 70), candidate("tune", 60)), "d", ("a note", "few pairs"), (), context
    )
    return as_text(advice_page(advice), 200), advice_document(advice)


def test_the_nearest_five_flips_are_shown_and_all_are_in_the_document():
    text, document = page(flips=[flip(n) for n in range(7)], not_searched=["model.params", "f9"])
    assert "What would change it" in text
    assert "fact 4 were less" in text
    assert text.count("leading candidates only") == 1
    assert "fact 5" not in text
    assert "not every other value was tried of: the size of the base model, f9 (--all does)" in text
    assert document["context"]["not_searched"] == ["model.params", "f9"]
    assert len(document["flips"]) == 7
    assert "flips" not in document["context"]


def test_nothing_that_flips_is_said_and_without_a_search_nothing_is():
    assert "No single fact or limit does" in page(flips=[])[0]
    assert "What would change it" not in page()[0]


def test_a_what_if_says_what_was_changed_and_how_the_choice_moved():
    before = {
        "name": "tune",
        "points": 60.0,
        "seconds": 10.0,
        "latency_seconds": 1.0,
        "serving_peak_bytes": 1e9,
        "bytes": 1e8,
    }
    after = {**before, "name": "retrieve", "points": 70.0, "seconds": 20.0}
    changes = [{"key": "pairs.train", "before": "330", "after": "50"}]
    text, document = page(what_if={"changes": changes, "before": before, "after": after})
    assert "pairs.train" in text
    assert "Nothing was written." in text
    assert "tune was recommended, now it is retrieve: points 60.0 → 70.0, to build 10 s → 20 s." in text
    assert document["what_if"]["changes"] == changes
    text, _ = page(what_if={"changes": changes, "before": before, "after": before})
    assert "tune stays recommended, at the same cost and quality." in text
    text, _ = page(what_if={"changes": changes, "before": None, "after": before})
    assert "Recommended before: no combination. Now: tune." in text


def test_the_inverse_question_and_what_else_may_serve():
    asked = {"for": "distill", "means": "at least these techniques", "sentences": ["distill would win if it could"]}
    other = {"id": "x", "because": "a note", "instead": "do without", "sources": ["Someone 2020"]}
    text, document = page(what_must_change=asked, alternatives=[other])
    assert "What must change for distill" in text
    assert "distill would win if it could" in text
    assert "a note. Instead: do without — Someone 2020" in text
    assert text.count("a note") == 1
    assert "few pairs" in text
    assert document["alternatives"] == [other]
    assert document["what_must_change"] == asked


def test_ties_and_doubts_are_told():
    gap = {"points": -0.1, "low": -0.5, "high": 0.3, "confidence": 1.0, "tied": True}
    other = {"index": 1, "name": "tune", "difference": gap, "gives_up": {}}
    assert "retrieve and tune are tied in quality" in page(runner_up=other, indifference=2.0)[0]
    other["difference"] = {**gap, "tied": False, "confidence": 0.69}
    assert "with a probability of 69 %" in page(runner_up=other, indifference=2.0)[0]


@pytest.mark.parametrize(("quality", "told"), [(60, "gains +10 points"), (70.1, "is as good"), (72, "loses 2 points")])
def test_what_the_best_gains_against_the_runner_up_is_said_as_it_is(quality, told):
    advice = Recommendation((candidate("retrieve", 70), candidate("tune", quality)), "d", (), (), {})
    assert f"Against it retrieve {told}" in as_text(advice_page(advice), 200)


def test_a_reason_of_less_than_a_point_is_not_told_as_none():
    reasons = tuple(Reason(str(n), "notes", f"for {n}", (), n) for n in (12.0, -0.1, -0.01, 0.0))
    best = candidate("retrieve", 70)
    best = Candidate(best.plan, best.estimate, 70, 65, 75, reasons)
    lines = as_text(advice_page(Recommendation((best,), "d", (), (), {})), 200).splitlines()
    told = [line.partition(" for ")[2].strip() for line in lines if " for " in line]
    assert told == ["12.0 (+12 points)", "-0.1 (-0.1 points)", "-0.01", "0.0"]
