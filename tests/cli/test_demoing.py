"""The demo as a whole, on toys: what it does with its project, its plan and its runs."""

import json

import pytest
from commanding import commands
from toyproject import write_toy_project

from kistack.demo import project as demo_project


@pytest.fixture
def kistack(monkeypatch, toy_host, measured_once, tmp_path, capsys):
    """Run a command in an empty folder; the demo's project is the toy project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kistack.cli.demoing.host", lambda: toy_host)
    monkeypatch.setattr(demo_project, "write_project", lambda folder: write_toy_project(tmp_path / folder))
    with commands(capsys) as call:
        yield call


def test_a_plan_is_run_and_measured_beside_the_baseline_and_beside_retrieval_alone(kistack):
    code, text, said = kistack("demo", "--plan", "retrieve+tune", "--json")
    assert code == 0, said
    told = json.loads(text)
    assert [s["use"] for s in told["plan"]["steps"]] == ["retrieve/toy", "tune/toy"]
    assert told["systems"].keys() >= {"baseline", "plan", "retrieve"}
    beside = told["versus"]["retrieve"]["contained"]
    advised, alone = (told["systems"][name]["contained"]["value"] for name in ("plan", "retrieve"))
    assert beside["value"] == pytest.approx(advised - alone)
    assert beside["ci95"][0] <= beside["value"] <= beside["ci95"][1]
    assert told["difference"]["contained"]["value"] == pytest.approx(advised - told["baseline"]["contained"]["value"])
    assert {"retrieve/toy", "tune/toy"} <= {s["use"] for s in told["steps"]}
    assert all(s["predicted"]["seconds"] and "seconds" in s["measured"] for s in told["steps"])


def test_retrieval_alone_is_its_own_comparison(kistack):
    code, text, said = kistack("demo", "--plan", "retrieve", "--json")
    assert code == 0, said
    told = json.loads(text)
    assert told["versus"]["retrieve"]["contained"]["value"] == 0
    assert said.count("run 2") == 1  # one run, named by its date


def test_a_reader_sees_profile_advice_comparison_answers_and_what_to_do_next(kistack):
    code, text, said = kistack("demo")
    assert code == 0, said
    in_order = ["kistack demo: release desk", "Run ", "(advised)", "Three questions", "Kubernetes 1.32", "Next"]
    places = [text.index(part) for part in in_order]
    assert places == sorted(places)
