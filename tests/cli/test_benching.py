import json

import pytest

from kistack.cli import main
from kistack.storage.project import Project


@pytest.fixture
def bench(toy_project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        capsys.readouterr()
        code = main.run(["bench", "calibration", "-C", str(toy_project), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_project_without_runs_is_told_so(bench):
    code, text, _ = bench()
    assert code == 0
    assert "Too few runs to judge intervals by: 0 runs in the ledger, 5 are the least." in text


def test_coverage_is_shown_by_kind_of_number(bench, toy_project):
    from dataclasses import replace

    from storage.test_ledger import record

    ledger = Project(toy_project).ledger()
    for n in range(7):
        ledger.append(replace(record(f"r{n}"), started=f"2026-01-0{n + 1}"))
    code, text, _ = bench()
    assert code == 0
    assert "Too few runs to judge" not in text
    [line] = [row for row in text.splitlines() if row.strip().startswith("seconds")]
    assert "100.0 %" in line
    assert "1.50x" in line
    code, text, _ = bench("--json")
    document = json.loads(text)
    assert document["runs"] == 7
    assert document["kinds"]["seconds"]["covered"] == 1
    assert document["kinds"]["peak_bytes"]["runs"] == 0


def test_no_project_is_one_line_and_a_remedy(capsys, tmp_path):
    assert main.run(["bench", "calibration", "-C", str(tmp_path)]) == 2
    assert "kistack init" in capsys.readouterr().err
