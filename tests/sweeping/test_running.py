"""Sweeps on toys: everything real but the arithmetic."""

import json
import shutil
import time
from dataclasses import replace

import pytest

import kistack
from kistack.bundle import workspace as workspaces
from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan
from kistack.errors import Cancelled, InputError, KistackError
from kistack.execution.events import StepStarted
from kistack.reporting.markdown import render
from kistack.reporting.sweeps import sweep_page
from kistack.sweeping.notebook import Notebook
from kistack.sweeping.running import Running, finished, run_sweep
from kistack.sweeping.selection import SMALLEST, Request, select
from kistack.sweeping.summary import sharing, sweep_document

#: Each sweep runs real plans in workers: seconds a test.
pytestmark = pytest.mark.system
FEW = Request(("nothing", "retrieve", "tune", "retrieve+tune"), settings="same")


def quietly(**options):
    return Running(notify=lambda _line: None, **options)


def again(place):
    """The same project as a new process sees it."""
    return Workspace(place.scenario, host=place.host)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the work folder of a finished sweep is kept for the tests that look at one."""
    return tmp_path_factory.mktemp("kept") / "work"


@pytest.fixture
def swept(toy_place, kept):
    """A finished sweep of ``FEW``; run once, then copied into the test's own project."""
    if not kept.is_dir():
        run_sweep(toy_place, FEW, quietly())
        shutil.copytree(toy_place.project.work, kept)
    elif not toy_place.project.work.is_dir():
        shutil.copytree(kept, toy_place.project.work)
    return finished(Notebook.find(toy_place.project, "last"))


def test_every_combination_is_a_row_and_every_distinct_step_is_made_once(toy_place, swept):
    assert swept.status == "done"
    assert {n: r.status for n, r in swept.rows.items()} == dict.fromkeys(FEW.plans, "done")
    assert {n: r.measured["quality"] for n, r in swept.rows.items()} == {
        "nothing": 0, "retrieve": 0, "tune": 0, "retrieve+tune": 100,
    }  # fmt: skip
    shared = sharing(swept)
    assert shared["repeated"] == []
    assert shared["distinct_steps"] < shared["asked_for"] / 1.5
    # The ledger tells the same: the runs that name a key as made, not found, are one each.
    made = [s.key for run in toy_place.project.ledger().runs() for s in run.steps if s.status == "done"]
    assert len(made) == len(set(made)) == shared["distinct_steps"]
    assert set(made) <= {r["key"] for r in toy_place.store.records()}
    baseline = toy_place.compose(Plan()).systems["baseline"].answers.node
    assert made.count(baseline) == 1


def test_the_document_holds_table_effects_regret_predictions_and_is_kept(toy_place, swept):
    document = json.loads(json.dumps(sweep_document(swept)))
    assert document["rows"][0]["name"] == "nothing"
    assert document["rows"][1]["roles"] == ["factorial", "advised"]
    assert document["baselines"]["few-shot"]["value"] == 0
    quality = {tuple(e["techniques"]): e for e in document["attribution"]["effects"] if e["number"] == "quality"}
    assert quality["retrieve",]["value"] == quality["tune",]["value"] == 50
    assert quality["retrieve", "tune"]["value"] == 100
    assert quality["retrieve", "tune"]["ci95"] == [100, 100]
    assert document["regret"]["advised"] == "retrieve+tune"
    assert document["regret"]["points"] == 0
    numbers = {n["number"] for n in document["predicted_and_measured"]["numbers"]}
    assert numbers >= {"quality", "seconds", "peak_bytes", "bytes", "evaluation_seconds", "serving_peak_bytes"}
    [kept] = toy_place.project.ledger().studies("sweep")
    assert kept == document
    book = Notebook.find(toy_place.project, "last")
    assert json.loads((book.folder / "result.json").read_text()) == document
    assert book.read().rows == swept.rows


def test_the_page_tells_effects_in_words(swept):
    text = render(sweep_page(swept))
    assert "retrieval +50.0 ± 0.0 points" in text
    assert "retrieve+tune (advised)" in text
    assert "No fixed habit is shown to do better" in text
    assert "Each was made once." in text
    assert "retrieve+tune (advised)" in kistack.report(swept, "md")
    assert json.loads(kistack.report(swept, "json"))["sweep"] == swept.sweep


def test_the_same_command_does_nothing_and_fresh_begins_anew(toy_place, swept):
    started = []
    second = run_sweep(again(toy_place), FEW, quietly(on_event=started.append))
    assert second.sweep == swept.sweep
    assert started == []
    assert second.rows == swept.rows
    other = run_sweep(again(toy_place), FEW, quietly(fresh=True, on_event=started.append))
    assert other.sweep != swept.sweep
    assert not any(isinstance(e, StepStarted) for e in started)
    assert {n: r.metrics for n, r in other.rows.items()} == {n: r.metrics for n, r in swept.rows.items()}


def test_a_failed_combination_is_a_row_and_its_step_is_not_tried_twice(toy_place, monkeypatch):
    monkeypatch.setenv("TOY_FAIL", "quantize/toy")
    request = Request(("nothing", "quantize", "tune", "retrieve"), settings="same")
    found = run_sweep(toy_place, request, quietly())
    assert {n: r.status for n, r in found.rows.items()} == {
        "nothing": "done", "quantize": "failed", "tune": "done", "retrieve": "done",
    }  # fmt: skip
    assert "told to fail" in found.rows["quantize"].error
    assert "told to fail" in render(sweep_page(found))
    wider = Request(("quantize", "retrieve+quantize"), settings="same")
    both = run_sweep(again(toy_place), wider, quietly())
    assert [r.status for r in both.rows.values()] == ["failed", "failed"]
    assert sum("(as in " in r.error for r in both.rows.values()) == 1
    monkeypatch.delenv("TOY_FAIL")
    assert run_sweep(again(toy_place), request, quietly()).rows["quantize"].status == "failed"
    assert run_sweep(again(toy_place), request, quietly(retry=True)).rows["quantize"].status == "done"


def test_a_budget_ends_it_and_a_larger_one_goes_on(toy_place, monkeypatch):
    # Toys are expected to take longer than they do: nothing is expected to end within five seconds.
    first = run_sweep(toy_place, FEW, quietly(budget=5.0))
    assert (first.status, first.rows) == ("budget", {})
    with monkeypatch.context() as patch:
        patch.setattr("kistack.sweeping.running._Sweeping._fits", lambda self, _expected: len(self.rows) < 2)
        second = run_sweep(again(toy_place), FEW, quietly(budget=60.0))
    assert list(second.rows) == ["nothing", "retrieve+tune"]
    assert second.status == "budget"
    assert "budget ended before: " in render(sweep_page(second))
    third = run_sweep(again(toy_place), FEW, quietly(budget=3600.0))
    assert third.sweep == first.sweep
    assert third.status == "done"
    assert {n: third.rows[n] for n in second.rows} == dict(second.rows)


def test_a_run_in_the_middle_of_which_the_budget_ends_is_cut_and_gone_on_with(toy_place, toy_project, monkeypatch):
    plan = toy_project / "slow.yaml"
    plan.write_text("schema: 1\nsteps:\n- {use: tune/toy, with: {seconds: 60}}\n")
    request = Request((str(plan),))
    monkeypatch.setattr("kistack.sweeping.running._Sweeping._fits", lambda *_: True)
    began = time.monotonic()
    cut = run_sweep(toy_place, request, quietly(budget=8.0))
    assert time.monotonic() - began < 55
    assert cut.rows["slow"].status == "cut"
    assert cut.rows["slow"].spent >= 7
    assert cut.status == "budget"
    more = run_sweep(again(toy_place), request, quietly(budget=cut.rows["slow"].spent + 4.0))
    assert more.sweep == cut.sweep
    assert more.rows["slow"].spent > cut.rows["slow"].spent + 3


def test_a_plan_beyond_a_limit_is_refused_unless_asked_for(toy_place):
    limits = toy_place.scenario.limits.model_copy(update={"disk": 10})
    place = Workspace(toy_place.scenario.model_copy(update={"limits": limits}), host=toy_place.host)
    request = Request(("tune",))
    found = run_sweep(place, request, quietly())
    assert found.rows["tune"].status == "refused"
    assert "disk" in found.rows["tune"].error
    assert run_sweep(again(place), request, quietly(over_limits=True)).rows["tune"].status == "done"


def test_stopping_keeps_what_is_finished_and_the_same_command_goes_on(toy_place, monkeypatch):
    original, calls = workspaces.Workspace.run, []

    def stops(self, pipeline, **options):
        calls.append(pipeline)
        if len(calls) == 3:
            raise Cancelled("the run was stopped", "the same command goes on")
        return original(self, pipeline, **options)

    monkeypatch.setattr(workspaces.Workspace, "run", stops)
    with pytest.raises(Cancelled):
        run_sweep(toy_place, FEW, quietly())
    book = Notebook.find(toy_place.project, "last")
    assert len(book.read().rows) == 2
    found = run_sweep(again(toy_place), FEW, quietly())
    assert found.sweep == book.sweep
    assert len(calls) == 5
    assert found.status == "done"


def test_a_run_that_ended_before_its_row_was_kept_is_not_run_again(toy_place, monkeypatch):
    original = Notebook.keep

    def dies(self, number, row):
        raise SystemExit(9)

    monkeypatch.setattr(Notebook, "keep", dies)
    with pytest.raises(SystemExit):
        run_sweep(toy_place, FEW, quietly())
    monkeypatch.setattr(Notebook, "keep", original)
    [folder] = toy_place.project.runs.iterdir()
    before = (folder / "record.json").stat().st_mtime_ns
    found = run_sweep(again(toy_place), FEW, quietly())
    assert found.rows["nothing"].run == folder.name
    assert (folder / "record.json").stat().st_mtime_ns == before
    assert len([r for r in toy_place.project.ledger().runs() if r.run == folder.name]) == 1


def test_two_processes_do_not_run_one_sweep(toy_place, swept):
    book = Notebook.find(toy_place.project, swept.sweep[:12])
    assert not book.is_held
    with book.locked():
        assert book.is_held
        with pytest.raises(InputError, match="running already"):
            run_sweep(again(toy_place), FEW, quietly())
    assert not book.is_held


def test_other_pairs_are_another_sweep(toy_place, toy_project, swept):
    with (toy_project / "pairs.jsonl").open("a") as file:
        file.write('{"id": "x", "question": "What is new", "answer": "1.1", "group": "x", "split": "train"}\n')
    other = Workspace.find(toy_project, host=toy_place.host)
    assert run_sweep(other, Request(("nothing",)), quietly()).sweep != swept.sweep


# --- what is selected


def test_all_sixteen_sets_and_the_smallest_quantization(toy_place):
    found, _ = select(toy_place, Request())
    factorial = [c for c in found if "factorial" in c.roles]
    assert len({frozenset(c.techniques) for c in factorial}) == len(factorial) == 16
    assert [c.name for c in found if "advised" in c.roles] == ["retrieve+tune"]
    advice = toy_place.advise()
    for one in factorial:
        first = next(c for c in advice.candidates if set(c.plan.techniques) == set(one.techniques))
        assert one.plan == first.plan.to_dict()
    assert all(c.predicted["seconds"] > 0 for c in found)
    assert SMALLEST not in {c.name for c in found}  # toys quantize in one way, which is the smallest


def test_the_same_settings_in_every_set_are_those_of_the_advised_plan(toy_place):
    found, _ = select(toy_place, Request(settings="same"))
    by = {}
    for one in found:
        for step in one.plan["steps"]:
            by.setdefault(step["use"], set()).add(json.dumps(step, sort_keys=True))
    assert {use: len(ways) for use, ways in by.items()} == dict.fromkeys(by, 1)
    keys = {key for c in found for key in c.seconds}
    each = {key for c in select(toy_place, Request())[0] for key in c.seconds}
    assert len(keys) <= len(each)


def test_only_some_evaluators_leave_the_rest_of_the_work_out(toy_place):
    found, _ = select(toy_place, Request(settings="same", evaluate=("toy",)))
    every, _ = select(toy_place, Request(settings="same"))
    assert all(c.plan["evaluate"] == ["evaluate/toy"] for c in found)
    assert [c.roles for c in found] == [c.roles for c in every]
    keys, more = {k for c in found for k in c.seconds}, {k for c in every for k in c.seconds}
    assert keys < more
    with pytest.raises(InputError, match="evaluate/taste"):
        select(toy_place, Request(evaluate=("taste",)))


def test_the_front_holds_the_advised_plan(toy_place):
    found, _ = select(toy_place, Request(front=True))
    assert 1 <= len(found) < 16
    assert any("advised" in c.roles for c in found)


def test_plan_files_and_names_stand_side_by_side(toy_place, toy_project):
    path = toy_project / "mine.yaml"
    path.write_text("schema: 1\nsteps:\n- {use: retrieve/toy, with: {top_k: 7}}\n")
    found, _ = select(toy_place, Request((str(path), "tune+retrieve")))
    assert [c.name for c in found] == ["mine", "retrieve+tune"]
    assert found[0].plan["steps"][0]["with"] == {"top_k": 7}


@pytest.mark.parametrize(
    ("plans", "said"),
    [(("fly",), "fly"), (("tune", "tune"), "named twice"), (("nowhere.yaml",), "nowhere.yaml")],
)
def test_what_cannot_be_meant_is_one_line_and_a_remedy(toy_place, plans, said):
    with pytest.raises(InputError, match=said) as caught:
        select(toy_place, Request(plans))
    assert caught.value.hint
    with pytest.raises(InputError):
        Request(("tune",), front=True)
    with pytest.raises(InputError):
        Request(settings="some")
    with pytest.raises(InputError, match="budget"):
        run_sweep(toy_place, FEW, quietly(budget=0))


def test_what_cannot_be_composed_is_a_row(toy_place):
    models = toy_place.scenario.models.model_copy(update={"teacher": "toy:base@other"})
    place = Workspace(toy_place.scenario.model_copy(update={"models": models}), host=toy_place.host)
    found = run_sweep(place, Request(("nothing", "distill")), quietly())
    assert found.rows["distill"].status == "impossible"
    assert "vocabulary" in found.rows["distill"].error
    assert found.rows["nothing"].status == "done"
    assert found.status == "done"


def test_a_damaged_row_is_measured_again(toy_place, swept):
    book = Notebook.find(toy_place.project, "last")
    (book.folder / "rows" / "02.json").write_text("{torn")
    found = run_sweep(again(toy_place), FEW, quietly())
    assert {n: replace(r, spent=0.0) for n, r in found.rows.items()} == {
        n: replace(r, spent=0.0) for n, r in swept.rows.items()
    }


def test_a_notebook_of_another_kistack_is_refused(toy_place, swept):
    book = Notebook.find(toy_place.project, "last")
    document = json.loads((book.folder / "sweep.json").read_text())
    (book.folder / "sweep.json").write_text(json.dumps({**document, "schema": 99}))
    with pytest.raises(KistackError, match="cannot be read"):
        book.read()
    with pytest.raises(InputError, match="does not exist"):
        Notebook.find(toy_place.project, "1999")
