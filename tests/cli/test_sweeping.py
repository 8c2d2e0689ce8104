import json
from pathlib import Path

import pytest
from commanding import commands

from kistack.storage.project import Project
from kistack.sweeping.notebook import Notebook

FEW = ("sweep", "--plans", "nothing,retrieve", "--settings", "same")


@pytest.fixture
def kistack(monkeypatch, toy_host, toy_project, capsys):
    monkeypatch.chdir(toy_project)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kistack.cli.places.host", lambda: toy_host)

    with commands(capsys) as call:
        yield call


def test_sweep_prints_a_table_and_shows_it_again(kistack):
    code, text, told = kistack(*FEW)
    assert code == 0
    assert "What each technique does" in text
    assert "[1/2] nothing" in told
    code, text, told = kistack("sweep", "--show", "last", "--json")
    assert code == 0
    document = json.loads(text)
    assert [r["status"] for r in document["rows"]] == ["done", "done"]
    assert "it is not running" in told
    with Notebook.find(Project.find(Path()), "last").locked():
        assert "it is running" in kistack("sweep", "--show", "last")[2]
    again = json.loads(kistack(*FEW, "--json")[1])
    assert again["rows"] == document["rows"]
    html = kistack("report", "sweep", "--format", "html")[1]
    assert "Effects on quality (contained)" in html
    assert html.count("<svg") >= 2
    for subject in ("sweep", document["sweep"]):
        assert json.loads(kistack("report", subject, "--format", "json")[1])["sweep"] == document["sweep"]
    assert kistack("report", document["sweep"], "--sweep", "effects.json")[0] == 2
    assert kistack("report", "sweep", "--sweep", "x.json")[0] == 2


def test_the_advice_is_reported_as_it_is_told(kistack):
    assert kistack("report", "advice", "--format", "md")[1].startswith("#")
    code, _, told = kistack("report", "sweep")
    assert code == 2
    assert "sweep 'last' does not exist" in told


def test_where_nothing_can_be_measured_the_command_fails_and_says_why(kistack, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "quantize/toy")
    code, text, told = kistack("sweep", "--plans", "quantize")
    assert code == 1
    assert "told to fail" in text
    assert "no combination could be measured" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--budget", "soon"), "--budget"),
        (("--budget", "0s"), "budget"),
        (("--plans", "fly"), "fly"),
        (("--plans", "tune", "--front"), "exclude each other"),
        (("--settings", "some"), "settings"),
        (("--show", "1999"), "1999"),
        (("--show", "last"), "last"),
    ],
)
def test_bad_input_is_one_line_and_one_remedy(kistack, toy_project, arguments, said):
    code, text, told = kistack("sweep", *arguments)
    assert code == 2
    assert text == ""
    assert said in told
    assert told.count("error:") == 1
    assert "hint:" in told
    assert not list(toy_project.glob(".kistack/sweeps/*/rows"))


def test_staleness_without_snapshots_says_what_to_list(kistack):
    code, _, told = kistack("staleness")
    assert code == 2
    assert "knowledge.snapshots" in told
