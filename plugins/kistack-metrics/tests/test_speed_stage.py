import pytest
from kistack_metrics.speed_stage import EvaluateSpeed

from kistack.errors import StoreError

from .conftest import row


def test_quantiles_and_single_numbers(answered, evaluate):
    speed = {
        "latency_seconds": [0.1 * n for n in range(1, 22)],
        "first_token_seconds": [0.05] * 21,
        "query_seconds": [0.0] * 21,
        "tokens_per_second": 112.5,
        "peak_bytes": 700_000_000,
    }
    scores = evaluate(EvaluateSpeed(), {"answers": answered([row(0)], speed)})
    assert scores.totals["latency_p50"].value == pytest.approx(1.1)
    assert scores.totals["latency_p50"].low < 1.1 < scores.totals["latency_p50"].high
    assert scores.totals["latency_p95"].value == pytest.approx(2.0)
    assert scores.totals["latency_p95"].unit == "s"
    assert scores.totals["first_token_p50"].value == pytest.approx(0.05)
    assert scores.totals["tokens_per_second"].value == 112.5
    assert scores.totals["peak_bytes"].unit == "B"
    assert scores.unavailable == {"query_p50": "it was not timed", "joules_per_answer": "it was not measured"}
    assert scores.items == {}


def test_energy_is_told_where_the_machine_reports_it_and_else_why_not(answered, evaluate):
    scores = evaluate(EvaluateSpeed(), {"answers": answered([row(0)], {"joules_per_answer": 3.5})})
    assert (scores.totals["joules_per_answer"].value, scores.totals["joules_per_answer"].unit) == (3.5, "J")
    speed = {"energy_unavailable": "this machine reports no energy"}
    scores = evaluate(EvaluateSpeed(), {"answers": answered([row(0)], speed)})
    assert scores.unavailable["joules_per_answer"] == "this machine reports no energy"


def test_what_was_not_measured_is_unavailable(answered, evaluate):
    scores = evaluate(EvaluateSpeed(), {"answers": answered([row(0)])})
    assert scores.totals == {}
    assert {"latency_p95", "tokens_per_second", "peak_bytes"} <= set(scores.unavailable)


def test_an_answer_that_never_came_is_not_averaged_away(answered, evaluate):
    speed = {"latency_seconds": [0.1, 0.2, None]}
    scores = evaluate(EvaluateSpeed(), {"answers": answered([row(0)], speed)})
    assert "latency_p95" in scores.unavailable
    assert "failed" in scores.unavailable["latency_p95"]


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_damaged_timings_are_named(answered, evaluate, content):
    artifact = answered([row(0)], {})
    (artifact.path / "speed.json").write_text(content)
    with pytest.raises(StoreError, match=r"speed\.json"):
        evaluate(EvaluateSpeed(), {"answers": artifact})


def test_timings_are_never_reused_elsewhere():
    stage = EvaluateSpeed()
    assert stage.traits(stage.Settings()).timed
