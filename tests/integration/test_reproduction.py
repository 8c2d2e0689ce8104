"""A finished run of all four techniques on tiny real models comes out again, and its report tells all of it."""

import json
import re

import pytest

from kistack.bundle.archive import find_run
from kistack.bundle.reproducing import reproduce
from kistack.cli import main

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def again(finished):
    return reproduce(finished.place, finished.record.run)


def test_every_answer_score_and_size_is_equal(again, finished):
    """In fp32 on the same CPU with the same threads."""
    assert [c for c in again.checks if not c.equal] == []
    assert again.reproduced
    assert again.tolerance == 0
    assert again.versions == ()
    answered = {c.name for c in again.checks if c.kind == "answers"}
    assert answered == set(finished.record.systems)
    assert {"plan, contained", "plan, f1", "baseline, perplexity"} <= {c.name for c in again.checks}
    record = find_run(finished.place.project, again.run).record
    assert {s.status for s in record.steps} == {"done"}


def test_trained_weights_and_exports_have_the_same_bytes(again):
    built = {c.name for c in again.checks if c.kind == "digest" and c.equal}
    assert {"distill/response, model", "tune/lora, model", "quantize/gguf, model", "bundle, model"} <= built


def test_the_runs_are_told_apart_by_nothing_but_their_times(again, finished, capsys):
    root = str(finished.root)
    assert main.run(["diff", again.origin, again.run, "-C", root, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["plan"], found["versions"], found["items"]) == ([], [], [])
    assert {f["name"].rpartition(".")[2] for f in found["facts"]} <= {"ram_free", "disk_free"}
    changed = {c["name"] for c in found["steps"]}
    assert all(name.startswith(("answer/", "evaluate/speed")) for name in changed)


def test_its_report_draws_losses_of_both_trainings(finished, tmp_path):
    file = tmp_path / "report.html"
    code = main.run(["report", finished.record.run, "-C", str(finished.root), "--format", "html", "-o", str(file)])
    assert code == 0
    text = file.read_text()
    assert len(re.findall(r"<svg", text)) >= 5
    assert "distill/response" in text
    assert "bridge of" in text
    assert file.stat().st_size < 3e6
