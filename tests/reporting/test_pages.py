import json
import re
from dataclasses import replace

import pytest

from kistack.domain.advice import Candidate, Reason, Recommendation, Rejection
from kistack.domain.facts import Profile as Facts
from kistack.domain.facts import assumed, declared, measured
from kistack.domain.plan import Plan, Step
from kistack.domain.records import Estimate, Measurement, RunRecord, StepRecord, SystemScore
from kistack.evaluation.statistics import PairedResult
from kistack.reporting.advice import advice_document, advice_page
from kistack.reporting.blocks import Bullets, Code, Heading, Paragraph, Table
from kistack.reporting.markdown import render as as_markdown
from kistack.reporting.numbers import fact_text, metric_text, percent, ratio, shown, significant
from kistack.reporting.profiles import profile_page
from kistack.reporting.runs import difference_text, run_document, run_page, step_document
from kistack.reporting.terminal import as_text


def candidate(name, quality, rejections=(), **costs):
    steps = tuple(Step(use=f"{part}/x") for part in name.split("+") if part != "nothing")
    reasons = (Reason("r", "prefers", f"because of {name}", ("A paper, 2020",), 12.0),)
    return Candidate(Plan(steps=steps), Estimate(costs), quality, quality - 5, quality + 5, reasons, rejections)


@pytest.fixture
def advice():
    big = Rejection("memory", "9 GB", "4 GB", "raise limits.memory to 9 GB")
    return Recommendation(
        (
            candidate("retrieve+tune", 80, seconds=400, bytes=2e8, serving_peak_bytes=5e8, latency_seconds=1.0),
            candidate("retrieve", 45, seconds=60, bytes=3e8, serving_peak_bytes=7e8, latency_seconds=2.0),
            candidate("tune", 5, (big,), seconds=300),
        ),
        "digest",
        notes=("pairs are few",),
    )


def test_the_recommendation_says_what_why_and_why_not(advice):
    text = as_text(advice_page(advice), 160)
    assert "Run retrieve+tune: 80 points [75, 85] expected" in text
    assert "because of retrieve+tune (+12 points)" in text
    assert "A paper, 2020" in text
    assert "gains +35 points" in text
    assert "1.00 s less an answer" in text or "1 s less an answer" in text
    assert "raise limits.memory to 9 GB" in text
    assert "pairs are few" in text


def test_stages_are_named_where_several_do_a_technique(advice):
    other = Candidate(
        Plan(steps=(Step(use="retrieve/trigram"), Step(use="tune/x"))), Estimate({"seconds": 300.0}), 82, 77, 87
    )
    text = as_text(advice_page(Recommendation((other, *advice.candidates), "d")), 160)
    assert "Run retrieve+tune: 82 points" in text
    assert "Where several stages do a technique, it takes retrieve/trigram." in text
    assert "\n  retrieve (x)+tune " in text
    assert "\n  retrieve (x) " in text
    assert "retrieve (trigram)" not in text
    assert "tune (" not in text


def test_no_feasible_candidate_is_said(advice):
    page = advice_page(Recommendation(advice.rejected, "d"))
    assert "No combination keeps the limits." in as_text(page)
    assert advice_document(Recommendation(advice.rejected, "d"))["best"] is None


def test_the_advice_document_is_json_with_stable_names(advice):
    document = json.loads(json.dumps(advice_document(advice)))
    assert set(document) == {"schema", "profile", "best", "candidates", "front", "notes", "context"}
    assert document["best"]["plan"]["steps"][0]["use"] == "retrieve/x"
    assert document["candidates"][2]["rejections"][0]["limit"] == "memory"


def test_profile_shows_value_source_and_reason():
    facts = Facts(
        {
            "hardware.ram_total": measured(8 * 10**9, "read from the system", "B"),
            "serving.ram_total": measured(8 * 10**9, "read from the system", "B"),
            "freshness.changed_per_day": assumed(0.01, "nothing dated", "share"),
            "scenario.task": declared("facts", "task.kind"),
            "custom.thing": measured(True, "a plugin"),
            "model.identity": measured("abc", "digest"),
        }
    )
    text = as_text(profile_page(facts), 140)
    assert "8 GB" in text
    assert "assumed" in text
    assert "1.0 %" in text
    assert "The machine that serves" not in text
    assert "custom" in text
    assert "abc" not in text
    assert "read from the system" not in as_text(profile_page(facts, brief=True), 140)


def test_parts_of_the_corpus_stand_in_one_table():
    why = "snapshots: two dates; 95 % interval"
    facts = {
        "part.docs.documents": measured(12, "x"),
        "part.docs.bytes": measured(2_000_000, "x", "B"),
        "part.docs.changed_per_day": measured(0.02, why, "1/day"),
        "part.docs.changed_low": measured(0.01, why, "1/day"),
        "part.docs.changed_high": measured(0.03, why, "1/day"),
        "part.docs.erasable": declared(True, "x"),
        "part.docs/log.documents": measured(3, "x"),
        "freshness.source": measured("snapshots", "x"),
    }
    text = as_text(profile_page(Facts(facts)), 160)
    row = next(line for line in text.splitlines() if line.strip().startswith("docs ") or " docs " in line)
    assert "12" in row
    assert "2 MB" in row
    assert "snapshots, erasable" in row
    assert "docs/log" in text
    assert "a part of its own" in " ".join(text.split())
    assert "by part" not in as_text(profile_page(Facts({"freshness.source": measured("git", "x")})), 160)


def system(name, hits, **metrics):
    numbers = {"contained": Measurement(sum(hits) / len(hits), 0.1, 0.9)}
    numbers.update({m: Measurement(v, v, v, unit) for m, (v, unit) in metrics.items()})
    return SystemScore(name, numbers, {"contained": tuple(hits)}, unavailable={"perplexity": "no logits"})


@pytest.fixture
def record():
    steps = (
        StepRecord(
            "tune/lora", "k1", "done", "peft", False, {}, {"seconds": 100.0, "peak_bytes": 2e9, "bytes": 1e7},
            {"seconds": 150.0, "peak_bytes": 2.2e9, "bytes": 1e7}, {"model": "d"},
            results={"model.kl_before": 2.0, "model.kl_after": 0.5},
        ),
        StepRecord("merge/peft", "k2", "reused", "peft", True),
        StepRecord("answer/items", "k3", "done", "kistack", False, {}, {"seconds": 9.0}, {"seconds": 9.0}),
    )  # fmt: skip
    base = system("baseline", [0.0] * 20)
    plan = system("plan", [1.0] * 15 + [0.0] * 5, latency_p50=(0.5, "s"), bytes=(2e8, "B"))
    return RunRecord(
        "r1", "done", Plan(steps=(Step(use="tune/lora"),)).to_dict(), "p", {}, steps, {"baseline": base, "plan": plan},
        {"latency_seconds": 1.0, "bytes": 1e8}, "somewhere/bundle", "2026-01-01", 200.0,
    )  # fmt: skip


def test_a_run_shows_baseline_beside_plan_and_predicted_beside_measured(record):
    text = as_text(run_page(record), 170)
    assert "tune: done" in text
    assert "75.0 % [10.0, 90.0]" in text
    assert "plan against baseline, contained: +75.0 points" in text
    assert "15 won, 0 lost, 5 equal" in text
    assert "merge/peft (auto)" in text
    assert "0.50x" in text
    assert "2.00x" in text
    assert "1.50x" in text
    assert "model.kl_before 2, model.kl_after 0.5" in text
    assert "no logits" in text
    assert "somewhere/bundle" in text


def test_further_systems_stand_beside_the_run(record):
    retrieve = {"retrieve": system("retrieve", [1.0] * 8 + [0.0] * 12)}
    text = as_text(run_page(record, versus=retrieve), 200)
    assert "plan against retrieve, contained: +35.0 points" in text


def test_a_difference_that_is_not_shown_says_how_many_questions_would_settle_it(record):
    near = {"near": system("near", [1.0] * 12 + [0.0] * 6 + [1.0] * 2)}
    text = as_text(run_page(record, versus=near), 300)
    assert re.search(r"no difference shown; about [1-9][\d,]* more questions would show one of this size", text)


def test_a_difference_too_small_to_be_worth_showing_says_so():
    result = PairedResult(0.0001, -0.1, 0.1, 5, 5, 90, spread=0.5)
    assert difference_text("contained", result).endswith(
        "no difference shown, nor would 100,000 more questions show one of this size"
    )


def test_equal_systems_show_no_difference(record):
    same = {"again": system("again", [1.0] * 15 + [0.0] * 5)}
    assert "no difference shown" in as_text(run_page(record, versus=same), 200)


def test_a_failed_run_shows_its_error():
    text = as_text(run_page(RunRecord("r2", "failed", {}, "", {}, error="step 1 (tune/lora): out of memory")))
    assert "nothing: failed" in text
    assert "out of memory" in text


def test_the_run_document_has_intervals_and_reasons(record):
    document = json.loads(json.dumps(run_document(record)))
    assert document["systems"]["plan"]["contained"]["ci95"] == [0.1, 0.9]
    assert document["systems"]["plan"]["perplexity"] == {"value": None, "unavailable": "no logits"}
    assert step_document(record.steps[0])["predicted"] == {"seconds": 100.0, "peak_bytes": 2e9, "bytes": 1e7}
    assert step_document(record.steps[1])["measured"]["seconds"] is None


def test_markdown_has_headings_tables_and_code():
    page = [
        Heading("Title", 1),
        Paragraph("text"),
        Bullets(("one", "two")),
        Table(("a|b", "n"), (("x", "1"),), frozenset({1}), "caption"),
        Code("kistack run", "sh"),
    ]
    text = as_markdown(page)
    assert text.startswith("# Title\n\ntext\n\n- one\n- two\n\n| a\\|b | n |\n| --- | ---: |\n| x | 1 |\n\ncaption")
    assert "```sh\nkistack run\n```" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (134_500_000, "B", "134 MB"),
        (0.25, "s", "250 ms"),
        (3.0, "USD", "$3.00"),
        (12.3, "1/s", "12.3/s"),
        (float("nan"), "", "-"),
        (1234567.0, "", "1,230,000"),
        (0.00123, "", "0.00123"),
        (0, "", "0"),
    ],
)
def test_numbers_are_short(value, unit, text):
    assert shown(value, unit) == text


def test_more_number_texts():
    assert significant(99.96) == "100"
    assert percent(0.123) == "12.3 %"
    assert ratio(2.0, 0.0) == "-"
    assert fact_text(None, "") == "-"
    assert fact_text(True, "") == "yes"
    assert fact_text(2.0, "") == "2"
    assert fact_text("", "") == "-"
    assert fact_text(134_515_008, "") == "135 M"
    assert fact_text(5.95e10, "B/s") == "59.5 GB/s"
    assert fact_text(4.09e11, "FLOP/s") == "409 GFLOP/s"
    assert fact_text(0.0005, "1/day") == "0.0500 %/day"
    assert fact_text(500.0, "1/day") == "500/day"
    assert fact_text(0.25, "share") == "25.0 %"
    assert metric_text("bleu", Measurement(30.0, 28.0, 32.0)) == "30.0 [28.0, 32.0]"
    assert metric_text("contained", Measurement(0.5, 0.5, 0.5)) == "50.0 %"


def test_rich_markup_in_data_is_shown_as_it_is():
    assert "[bold]x[/bold]" in as_text([Paragraph("[bold]x[/bold]"), Table(("[red]",), (("[/]",),))])


def test_a_step_does_not_report_what_it_only_passes_on():
    steps = (
        StepRecord(use="distill/x", key="a", status="done", results={"model.kl_after": 0.5, "model.loss": 2.0}),
        StepRecord(
            use="tune/x", key="b", status="done", facts={"model.kl_after": 0.5, "model.loss": 2.0},
            results={"model.kl_after": 0.5, "model.loss": 1.0},
        ),
    )  # fmt: skip
    text = as_text(run_page(RunRecord("r", "done", {"steps": []}, "d", {}, steps=steps)))
    told = [line.strip(" •") for line in text.splitlines() if "model." in line]
    assert told == ["distill/x: model.kl_after 0.5, model.loss 2", "tune/x: model.loss 1"]


def test_a_run_shows_what_was_stated_where_calibration_moved_it(record):
    step = replace(record.steps[0], raw={"seconds": 50.0, "peak_bytes": 2e9, "bytes": 1e7})
    told = replace(
        record,
        steps=(step, *record.steps[1:]),
        raw={"latency_seconds": 2.0, "bytes": 1e8, "quality": 60.0},
        predicted={**record.predicted, "quality": 70.0},
        measured={"quality": 75.0},
    )
    text = as_text(run_page(told), 200)
    assert "1.67 min (50 s raw)" in text
    assert "1 s (2 s raw)" in text
    assert "70 (60 raw)" in text or "70.0 (60.0 raw)" in text
    assert "2 GB (" not in text
    assert "raw)" not in as_text(run_page(record), 200)
    document = json.loads(json.dumps(run_document(told)))
    assert document["raw"]["quality"] == 60
    assert document["steps"][0]["raw"] == {"seconds": 50.0, "peak_bytes": 2e9, "bytes": 1e7}
    # A run that was recorded before anything was calibrated was told what stages stated.
    assert run_document(record)["steps"][0]["raw"] == run_document(record)["steps"][0]["predicted"]


def test_a_predicted_cost_stands_with_its_interval():
    estimate = Estimate({"seconds": 100.0}, raw={"seconds": 50.0}, intervals={"seconds": (80.0, 120.0)})
    found = Candidate(Plan(), estimate, 50, 45, 55)
    assert "1.67 min [1.33 min, 2 min] to build" in as_text(advice_page(Recommendation((found,), "d")), 200)
    document = advice_document(Recommendation((found,), "d"))["best"]
    assert (document["raw"], document["intervals"]) == ({"seconds": 50.0}, {"seconds": [80.0, 120.0]})
