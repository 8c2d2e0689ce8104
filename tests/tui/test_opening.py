import pytest

from kistack.domain.scenario import load_scenario
from kistack.errors import InputError, ScenarioError
from kistack.tui.opening import Form, guess, load_place, make_demo, make_project, project_at


def bare(folder):
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.md").write_text("text")
    (folder / "notes.csv").write_text("question,answer\n")
    (folder / "qa-pairs.jsonl").write_text("{}\n")
    (folder / ".hidden.jsonl").write_text("{}\n")
    return folder


def test_a_form_is_filled_in_from_what_lies_there(tmp_path):
    found = guess(bare(tmp_path / "my desk"))
    assert (found.name, found.documents, found.pairs) == ("my-desk", "docs", "qa-pairs.jsonl")
    assert guess(tmp_path / "missing").documents == ""


def test_a_project_is_made_of_a_form_and_reads_back(tmp_path, toy_host):
    folder = bare(tmp_path / "desk")
    path = make_project(folder, Form("desk: mine", "docs", "qa-pairs.jsonl", "toy:base", ""))
    assert load_scenario(path).name == "desk: mine"
    assert load_place(folder / "docs", toy_host).project.root == folder
    assert project_at(folder / "docs") == folder


def test_a_scenario_that_is_there_is_never_overwritten(tmp_path):
    folder = bare(tmp_path / "desk")
    (folder / "kistack.yaml").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        make_project(folder, guess(folder))
    assert (folder / "kistack.yaml").read_text() == "mine"


def test_what_does_not_exist_is_told_and_nothing_is_written(tmp_path):
    folder = bare(tmp_path / "desk")
    with pytest.raises(ScenarioError, match="nowhere"):
        make_project(folder, Form("x", "nowhere", "qa-pairs.jsonl", "toy:base", ""))
    with pytest.raises(InputError, match="pairs is empty"):
        make_project(folder, Form("x", "docs", " ", "toy:base", ""))
    assert project_at(folder) is None


def test_the_demo_is_a_project(tmp_path):
    assert project_at(make_demo(tmp_path)) == tmp_path / "release-desk"
