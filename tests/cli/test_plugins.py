"""``kistack plugins``: alone it lists, ``check`` holds a plugin to the contract."""

import json

import pytest

import kistack.testing
from kistack.cli import main
from kistack.testing.conformance import CHECKS
from kistack.testing.findings import ConformanceError, Report, Result


@pytest.fixture
def checked(monkeypatch):
    """Which stages were checked; those named ``bad`` fail one demand."""
    asked = []

    def check(name):
        asked.append(name)
        report = Report(name, (Result(CHECKS["described"], "passed"),))
        if "passages" in name:
            fault = Result(CHECKS["ends"], "failed", "run hangs", "bound every wait")
            raise ConformanceError(Report(name, (*report.results, fault)))
        return report

    monkeypatch.setattr(kistack.testing, "check_stage", check, raising=False)
    return asked


def test_alone_it_lists(capsys):
    assert main.run(["plugins", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["api"] == "0.9"
    assert {p["name"] for p in document["plugins"]} >= {"kistack", "peft"}


def test_every_stage_is_checked_and_faults_are_told_with_their_remedy(checked, capsys):
    assert main.run(["plugins", "check", "kistack"]) == 1
    said = capsys.readouterr()
    assert checked == ["answer/items", "pairs/passages", "select/documents", "select/pairs"]
    assert "run hangs" in said.out
    assert "bound every wait" in said.out
    assert "pairs/passages does not keep the contract" in said.err


def test_one_stage_as_json(checked, capsys):
    assert main.run(["plugins", "check", "kistack", "--stage", "answer/items", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["results"]
    assert (row["stage"], row["check"], row["status"]) == ("answer/items", "described", "passed")


@pytest.mark.parametrize("arguments", [["nobody"], ["kistack", "--stage", "tune/none"]])
def test_what_is_not_there_is_refused(checked, arguments, capsys):
    assert main.run(["plugins", "check", *arguments]) == 2
    assert "kistack plugins list" in capsys.readouterr().err
    assert checked == []
