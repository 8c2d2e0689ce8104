"""What a run has shown, without a screen."""

import dataclasses

import pytest

from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, StoreError
from kistack.execution.detach import list_runs
from kistack.tui.results_view import baselines, bundle_of, compared, example_text, planned, run_lines, write_report


@pytest.fixture
def finished(toy_place):
    return toy_place.run(toy_place.compose(Plan(steps=(Step(use="retrieve/toy"),))))


def test_every_question_is_won_lost_or_equal(toy_place, finished):
    found = compared(finished, toy_place.store)
    assert (found.system, found.against) == (planned(finished), "baseline")
    assert sum(found.counts.values()) == len(found.examples) == 4
    for example in found.examples:
        gain = example.score - example.other_score
        assert example.verdict == ("won" if gain > 0 else "lost" if gain < 0 else "equal")
    text = example_text(found.examples[0], found.against)
    assert found.examples[0].question in text
    assert "[1] " in text
    assert "points" in found.told


def test_another_baseline(toy_place, finished):
    for name in baselines(finished):
        assert compared(finished, toy_place.store, name).against == name


def test_what_cannot_be_compared_is_refused(toy_place, finished):
    with pytest.raises(InputError, match="measured no plan"):
        compared(dataclasses.replace(finished, systems={}), toy_place.store)
    name = planned(finished)
    bare = {**finished.systems, name: dataclasses.replace(finished.systems[name], items={})}
    with pytest.raises(InputError, match="no metric"):
        compared(dataclasses.replace(finished, systems=bare), toy_place.store)
    lost = {**finished.systems, name: dataclasses.replace(finished.systems[name], answers="0" * 64)}
    with pytest.raises(StoreError, match="no longer in the store"):
        compared(dataclasses.replace(finished, systems=lost), toy_place.store)


def test_the_report_lies_in_the_runs_folder(toy_place, finished):
    run_dir = toy_place.project.runs / finished.run
    path = write_report(finished, run_dir)
    assert path.parent == run_dir
    assert finished.run in path.read_text()
    assert bundle_of(run_dir) == run_dir / "bundle"
    assert bundle_of(run_dir.parent) is None
    [(run, line)] = run_lines(list_runs(run_dir.parent))
    assert run == finished.run
    assert "done" in line
    assert "bundle" in line
