import json

from hypothesis import given
from hypothesis import strategies as st
from kistack_mlflow.content import _name, content_of

from kistack.bundle.archive import KeptRun
from kistack.domain.records import Measurement, RunRecord, StepRecord, SystemScore

ADMITTED = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. :/")


def record(**more):
    steps = (
        StepRecord(
            "tune/lora", "k1", "done", predicted={"seconds": 4.0}, raw={"seconds": 5.0}, measured={"seconds": 3}
        ),
        StepRecord("evaluate/x", "k2", "failed", error="no answers"),
    )
    scores = {"recall@1": Measurement(0.5, 0.4, 0.6), "bytes": Measurement(7.0, 7.0, 7.0, "B")}
    fields = {
        "run": "r1", "status": "done", "plan": {"seed": 3, "steps": [{"use": "tune/lora", "with": {"rank": 8}}]},
        "profile": "d1", "environment": {"torch": "2.13"}, "steps": steps, "started": "2026-01-02T03:04:05Z",
        "systems": {"plan": SystemScore("plan", scores, unavailable={"joules": "no counters"})}, "seconds": 1.5,
    }  # fmt: skip
    return RunRecord(**{**fields, **more})


def test_a_record_in_the_words_of_mlflow():
    content = content_of(KeptRun(record()), "desk")
    assert (content.name, content.status) == ("r1", "FINISHED")
    assert (content.started, content.ended) == (1767323045000, 1767323046500)
    assert content.params == {"plan/seed": "3", "plan/01.use": "tune/lora", "plan/01.with.rank": "8"}
    assert content.metrics == {
        "seconds": 1.5,
        "plan/recall-at-1": 0.5,
        "plan/recall-at-1.low": 0.4,
        "plan/recall-at-1.high": 0.6,
        "plan/bytes": 7.0,
        "steps/01 tune/lora/seconds.predicted": 4.0,
        "steps/01 tune/lora/seconds.raw": 5.0,
        "steps/01 tune/lora/seconds.measured": 3.0,
    }
    assert content.tags["environment.torch"] == "2.13"
    assert content.tags["unavailable.plan.joules"] == "no counters"
    assert content.tags["steps.02 evaluate/x"] == "failed: no answers"
    assert content.tags["kistack.scenario"] == "desk"
    assert "kistack.error" not in content.tags
    assert content.files == ()


def test_how_a_run_ended_is_told_and_long_values_are_cut():
    failed = content_of(KeptRun(record(status="failed", error="x" * 9000, started="never")))
    assert (failed.status, len(failed.tags["kistack.error"]), failed.started) == ("FAILED", 500, 0)
    assert content_of(KeptRun(record(status="cancelled"))).status == "KILLED"


def test_files_and_facts_of_the_run_go_with_it(tmp_path):
    facts = {"pairs.train": {"value": 40, "unit": "", "source": "measured", "why": "counted"}}
    (tmp_path / "profile.json").write_text(json.dumps({"schema": 1, "facts": facts}))
    (tmp_path / "record.json").write_text("{}")
    content = content_of(KeptRun(record(), tmp_path))
    assert {f.name for f in content.files} == {"profile.json", "record.json"}
    assert content.params["fact/pairs.train"] == "40"


@given(st.text(max_size=400))
def test_every_name_is_in_the_alphabet_of_mlflow(text):
    assert set(_name(text)) <= ADMITTED
    assert len(_name(text)) <= 250
