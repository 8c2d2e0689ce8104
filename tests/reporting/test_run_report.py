import json
import re
from dataclasses import replace

import pytest

from kistack.bundle.archive import KeptRun, find_run, kept_record
from kistack.bundle.workspace import Workspace
from kistack.domain.records import RunRecord, StepRecord
from kistack.errors import InputError
from kistack.reporting.blocks import Figure, Table
from kistack.reporting.evidence import gather, latest_effects
from kistack.reporting.examples import examples_document, examples_of
from kistack.reporting.run_report import full_document, full_page
from kistack.reporting.verbs import report, report_run
from kistack.sweeping.notebook import Notebook


@pytest.fixture
def place(ran_once):
    """A project with a run, which all tests here read."""
    return ran_once


@pytest.fixture
def kept(place):
    return find_run(place.project, "last")


@pytest.fixture
def evidence(kept, place, sweep):
    return gather(kept, place, sweep)


def test_every_plot_that_is_asked_for_is_there(evidence):
    titles = {b.title for b in full_page(evidence) if isinstance(b, Figure)}
    assert titles == {
        "Metrics with their 95 % intervals",
        "Quality against latency",
        "Quality against memory",
        "Effects on quality (contained)",
        "Effects on latency",
        "Effects on time to build",
        "Measured as a multiple of what was predicted",
        "Losses of the trainings",
        "Share of the content that is still true",
        "What ran when",
    } - ({"Quality against latency"} if "latency_p50" not in evidence.kept.record.systems["plan"].metrics else set())
    assert evidence.notes == ()
    assert evidence.metric == "contained"


def test_every_number_leads_to_a_place_in_the_document_that_leads_to_record_and_manifest(evidence, tmp_path):
    base = evidence.kept.folder.parent
    text = report_run(evidence, "html", base=base)
    ids = set(re.findall(r'id="([^"]+)"', text))
    targets = set(re.findall(r'href="([^"]+)"', text))
    assert {t[1:] for t in targets if t.startswith("#")} <= ids
    files = {t for t in targets if not t.startswith(("#", "data:"))}
    assert {f"{evidence.kept.record.run}/record.json", f"{evidence.kept.record.run}/bundle/manifest.json"} == files
    assert all((base / f).is_file() for f in files)
    measured = next(b for b in full_page(evidence) if isinstance(b, Figure)).table
    assert isinstance(measured, Table)
    for row, cells in enumerate(measured.rows):
        for column, cell in enumerate(cells[1:], 1):
            assert ((row, column) in measured.links) == (cell != "-")
    assert len(text) < 3e6


@pytest.mark.parametrize("form", ["text", "md", "html"])
def test_each_form_tells_what_was_won_with_its_sources(evidence, form):
    told = " ".join(report_run(evidence, form, width=200).split())
    assert "plan against baseline: 4 won, 0 lost, 0 that neither got right" in told
    assert "What is the latest release of Product0" in told
    assert "The latest release of Product0 is 1.0 (Product0.md)" in told
    assert "time to evaluate" in told
    assert "retrieve x tune" in told


def test_the_json_document_has_the_same(evidence, sweep):
    document = json.loads(report_run(evidence, "json"))
    won = document["examples"]["plan against baseline"]["won"]
    assert won[0]["answers"] == {"plan": "1.0", "baseline": "unknown"}
    assert won[0]["sources"]["plan"][0] == "Product0.md"
    assert document["losses"]["tune/toy"][0] == [0.1, 1.0]
    assert any(c["front"] for c in document["candidates"])
    assert document["freshness"]["changed_per_day"] == pytest.approx(0.01, rel=0.02)
    assert {"tune/toy: seconds", "time to build"} <= {p["number"] for p in document["predictions"]}
    assert document["files"]["manifest"].endswith("manifest.json")
    assert document["sweep"] == sweep


@pytest.fixture
def own(ran_place):
    """The project and its run in a folder of the test's own, to be damaged."""
    return ran_place


def test_without_store_profile_or_project_the_report_says_what_is_missing(own):
    kept = find_run(own.project, "last")
    for path in (own.project.work / "store" / "artifacts").glob("*/answers.jsonl"):
        path.unlink()
    (kept.folder / "profile.json").unlink()
    bare = gather(find_run(own.project, kept.record.run))
    text = report_run(bare, "text", width=200)
    assert "no longer in the store" in text
    assert "How long it stays true" not in text
    assert full_document(bare)["examples"]["plan against baseline"] is None
    assert full_document(bare)["freshness"] is None
    now = gather(find_run(own.project, kept.record.run), own)
    assert now.today
    other = replace(kept.record, profile="another")
    assert "as they are now" in gather(KeptRun(other), own).notes[0]


def test_a_project_that_cannot_be_advised_any_more_is_no_obstacle(own):
    for path in (own.project.root / "documents").iterdir():
        path.unlink()
    found = gather(find_run(own.project, "last"), Workspace(own.scenario, host=own.host))
    assert found.advice is None
    assert "left out" in found.notes[0]
    assert "plan against baseline" in report_run(found, "text")


def test_a_failed_run_and_a_bare_record_have_a_report():
    steps = (StepRecord("tune/x", "k", "failed", error="out of memory"),)
    record = RunRecord(
        "r", "failed", {"schema": 99, "steps": [], "odd": 1}, "", {}, steps, error="step 1: out of memory"
    )
    for form in ("text", "md", "json", "html"):
        assert "out of memory" in report(record, form)
    with pytest.raises(InputError, match="no report format"):
        report(record, "pdf")


def test_the_api_finds_the_rest_by_the_bundle(kept):
    assert "4 won, 0 lost" in report(kept.record, "html")
    assert kept_record(kept.record).folder == kept.folder


def test_examples_are_none_where_items_do_not_fit_their_answers(kept):
    assert examples_of(kept, "no such metric", "plan", "baseline") is None
    assert examples_document(kept, "contained", "plan", "nobody") is None
    lost = examples_of(kept, "contained", "baseline", "plan")
    assert {e.kind for e in lost} == {"lost"}
    assert lost[0].expected == "1.0"


def test_the_latest_sweep_that_tells_effects_stands_beside_the_run(own, sweep):
    assert latest_effects(own.project) is None
    for document in (sweep, {"schema": 1, "attribution": {"effects": []}}):
        book = Notebook.new(own.project)
        book.decide({"started": "2026-01-01T00:00:00Z"})
        book.keep_result(document)
    assert latest_effects(own.project) == sweep
