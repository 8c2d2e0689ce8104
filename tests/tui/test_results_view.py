"""What a run has shown, without a screen."""

import dataclasses
import webbrowser

import pytest
from sweeping.planted import SETS, planted

from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, StoreError
from kistack.execution.detach import list_runs
from kistack.sweeping.notebook import Notebook
from kistack.tui.results_view import (
    baselines,
    bundle_of,
    compared,
    example_text,
    last_sweep,
    open_page,
    planned,
    run_lines,
    write_report,
)


@pytest.fixture
def finished(toy_place, ran):
    return ran(toy_place, Plan(steps=(Step(use="retrieve/toy"),)))[0]


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
    path = write_report(toy_place, run_dir)
    assert path == run_dir / "report.html"
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert finished.run in path.read_text()
    # What only the project's advisor knows stands in it, as in that of the command line: combinations that did not run.
    assert "retrieve+distill+tune" in path.read_text()
    assert bundle_of(run_dir) == run_dir / "bundle"
    assert bundle_of(run_dir.parent) is None
    [(run, line)] = run_lines(list_runs(run_dir.parent))
    assert run == finished.run
    assert "done" in line
    assert "bundle" in line


def keep(project, sweep):
    """Write a sweep down as measuring it does."""
    book = Notebook.new(project)
    book.decide(
        {
            "started": sweep.started,
            "metric": sweep.metric,
            "order": [],
            "rule": sweep.rule,
            "combinations": [dataclasses.asdict(c) for c in sweep.combinations],
            "request": {},
            "limits": {},
            "notes": [],
            "serves_here": True,
        }
    )
    for number, one in enumerate(sweep.combinations):
        book.keep(number, sweep.rows[one.name])
    return book


def test_the_last_sweep_is_found(toy_place):
    assert last_sweep(toy_place.project) is None
    earlier = keep(toy_place.project, planted({c: [1.0, 0.0] for c in SETS[:2]}))
    # Their names begin with the second in which they were begun.
    earlier.folder.rename(earlier.folder.with_name("20200101-000000-abcd"))
    book = keep(toy_place.project, planted({c: [1.0, 0.0, 1.0] for c in SETS}))
    found = last_sweep(toy_place.project)
    assert (found.sweep, found.status, len(found.done())) == (book.sweep, "done", 16)
    (book.folder / "sweep.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        last_sweep(toy_place.project)


@pytest.mark.parametrize(("display", "opens", "shown"), [(":0", True, True), (":0", False, False), ("", True, False)])
def test_a_page_is_opened_only_where_a_browser_has_a_window(tmp_path, monkeypatch, display, opens, shown):
    asked = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("webbrowser.open", lambda url: (asked.append(url), opens)[1])
    assert open_page(tmp_path / "report.html") is shown
    assert asked == ([(tmp_path / "report.html").as_uri()] if display else [])


def test_a_browser_that_fails_is_none(tmp_path, monkeypatch):
    def fail(_url):
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr("webbrowser.open", fail)
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_page(tmp_path) is False
