import json
import os
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from kistack.bundle.manifest import read_manifest
from kistack.bundle.opening import open_bundle
from kistack.domain.plan import Plan, Step
from kistack.domain.records import RunRecord
from kistack.errors import InputError
from kistack.execution.events import EVENTS_FILE, RunFinished, read_events
from kistack.execution.remote import open_remote
from kistack.plugins.environments import this_interpreter


def plan(*uses):
    return Plan(steps=tuple(Step(use=u) for u in uses))


ALL = ("retrieve/toy", "distill/toy", "tune/toy", "quantize/toy")


def test_a_plan_runs_is_measured_beside_the_baselines_and_leaves_a_bundle(toy_place):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy", "quantize/toy")))
    assert record.status == "done"
    assert set(record.systems) == {"baseline", "few-shot", "plan"}
    assert record.systems["baseline"].metrics["contained"].value == 0
    assert record.systems["plan"].metrics["contained"].value == 1
    assert "no loglikelihood" in record.systems["plan"].unavailable["evaluate/toy-perplexity"]
    assert record.systems["baseline"].metrics["perplexity"].value == 1
    assert {s.use for s in record.steps if s.auto} == {"merge/toy", "pairs/passages"}
    assert all(s.measured["seconds"] >= 0 and s.measured["peak_bytes"] > 0 for s in record.steps)
    again = RunRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert again == record or again.systems == record.systems
    with open_bundle(record.bundle, host=toy_place.host) as bundle:
        answer = bundle.ask("What is the latest release of Product7")
    assert answer.text == "1.7"
    assert answer.passages[0].document == "Product7.md"


def test_the_second_run_does_nothing(toy_place):
    pipeline = toy_place.compose(plan("retrieve/toy", "tune/toy"))
    assert toy_place.cached(pipeline) == set()
    first = toy_place.run(pipeline)
    second = toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy")))
    assert {s.status for s in first.steps} == {"done"}
    assert {s.status for s in second.steps} == {"reused"}
    assert [s.outputs for s in first.steps] == [s.outputs for s in second.steps]
    assert toy_place.cached(pipeline) == {n.key for n in pipeline.nodes}
    assert first.systems["plan"].metrics["contained"] == second.systems["plan"].metrics["contained"]


def test_all_four_techniques_in_one_bundle(toy_place):
    record = toy_place.run(toy_place.compose(plan(*ALL)))
    manifest = read_manifest(toy_place.project.run_folder("last") / "bundle")
    assert manifest.parts[manifest.models["model"]].format == "toyq"
    assert record.systems["plan"].metrics["contained"].value == 1
    distilled = next(s for s in record.steps if s.use == "distill/toy")
    assert distilled.results["model.kl_after"] == 0.5


def test_an_adapter_travels_with_its_base_and_answers_elsewhere(toy_place, tmp_path):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy")))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(record.bundle, elsewhere)
    shutil.rmtree(toy_place.project.root)
    with open_bundle(elsewhere, host=toy_place.host) as bundle:
        assert bundle.ask("What is the latest release of Product3").text == "1.3"
        assert bundle.verify() == []
        passages, pieces = bundle.stream("What is the latest release of Product4")
        assert ("".join(pieces), len(passages)) == ("1.4", 2)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_a_bundle_opens_with_waits_briefly(toy_place, monkeypatch, elsewhere):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")))
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    seen = []
    kind = type(toy_place.host.get("retrieve/toy").stage)
    opens, traits = kind.open, kind.traits
    there = SimpleNamespace(interpreter=lambda *_: this_interpreter(sys.path)) if elsewhere else None

    def opened(*given):
        seen.append(os.environ.get("GOMP_SPINCOUNT"))
        return opens(*given)

    def opened_there(remote, settings, artifact, words):
        seen.append(os.environ.get("GOMP_SPINCOUNT"))
        return open_remote(remote, settings, artifact, words)

    monkeypatch.setattr(kind, "open", opened)
    monkeypatch.setattr("kistack.execution.remote.open_remote", opened_there)
    monkeypatch.setattr(kind, "traits", lambda *given: replace(traits(*given), environment=there))
    with open_bundle(record.bundle, host=toy_place.host) as bundle:
        assert bundle.ask("What is the latest release of Product7").passages[0].document == "Product7.md"
    assert [int(rounds) > 0 for rounds in seen] == [True]
    assert "GOMP_SPINCOUNT" not in os.environ


def test_the_bundle_carries_the_data_licence(toy_place):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")))
    manifest = read_manifest(toy_place.project.run_folder(record.run) / "bundle")
    data = next(x for x in manifest.licences if x.of == "data")
    assert data.licence == "MIT"
    text = toy_place.project.run_folder(record.run) / "bundle" / data.text
    assert text.read_text() == "MIT, and so on"


def test_the_empty_plan_delivers_the_base_and_is_the_baseline(toy_place):
    record = toy_place.run(toy_place.compose(plan()))
    assert set(record.systems) == {"baseline", "few-shot"}
    with open_bundle(record.bundle, host=toy_place.host) as bundle:
        assert bundle.ask("anything").text == "unknown"


def test_the_ledger_and_the_last_event_know_the_run(toy_place):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")))
    assert [r.run for r in toy_place.project.ledger().runs()] == [record.run]
    events = read_events(toy_place.project.run_folder(record.run) / EVENTS_FILE)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "done"


def test_a_user_changing_a_document_redoes_what_depends_on_it(toy_place, toy_project, toy_host):
    from kistack.bundle.workspace import Workspace

    toy_place.run(toy_place.compose(plan("retrieve/toy", "tune/toy")))
    (toy_project / "documents" / "Product1.md").write_text("The latest release of Product1 is 9.9\n")
    later = Workspace.find(toy_project, host=toy_host)
    record = later.run(later.compose(plan("retrieve/toy", "tune/toy")))
    status = {s.use: s.status for s in record.steps}
    assert status["retrieve/toy"] == "done"
    assert status["source/toy"] == "reused"
    with open_bundle(record.bundle, host=toy_host) as bundle:
        assert bundle.ask("What is the latest release of Product1").text == "9.9"


def test_user_files_are_never_changed(toy_place, toy_project):
    before = {p: p.read_bytes() for p in toy_project.rglob("*") if p.is_file() and ".kistack" not in p.parts}
    toy_place.run(toy_place.compose(plan(*ALL)))
    after = {p: p.read_bytes() for p in toy_project.rglob("*") if p.is_file() and ".kistack" not in p.parts}
    assert before == after


def test_damaged_and_incomplete_bundles_are_noticed(toy_place):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")))
    folder = toy_place.project.run_folder(record.run) / "bundle"
    manifest = read_manifest(folder)
    part = folder / manifest.parts[manifest.index].path
    (part / "index.json").write_text("[]")
    with open_bundle(folder, host=toy_place.host) as bundle:
        assert bundle.verify() == [f"{manifest.index} has changed"]
    shutil.rmtree(part)
    with pytest.raises(InputError, match=f"lacks {manifest.index}"):
        open_bundle(folder, host=toy_place.host)
    (folder / "manifest.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="schema 99 is not known"):
        open_bundle(folder, host=toy_place.host)
    (folder / "manifest.json").write_text("not json")
    with pytest.raises(InputError, match="is not JSON"):
        open_bundle(folder, host=toy_place.host)
    (folder / "manifest.json").write_text('{"schema": 1, "name": 3}')
    with pytest.raises(InputError, match="name: Input should be"):
        open_bundle(folder, host=toy_place.host)
    with pytest.raises(InputError, match="is not a bundle"):
        open_bundle(toy_place.project.root, host=toy_place.host)


def test_asking_nothing_or_an_unknown_model_is_refused(toy_place):
    record = toy_place.run(toy_place.compose(plan("retrieve/toy")))
    with open_bundle(record.bundle, host=toy_place.host) as bundle:
        with pytest.raises(InputError, match="the question is empty"):
            bundle.ask("  ")
        with pytest.raises(InputError, match="has no model 'legal'"):
            bundle.ask("x", slot="legal")


def test_a_failing_evaluator_does_not_lose_the_run(toy_project):
    import toys

    from kistack.bundle.workspace import Workspace
    from kistack.plugins.host import load_host

    host = load_host(entry_points=False, extra={"toys": toys, "faulty": toys.Faulty()})
    place = Workspace.find(toy_project, host=host)
    record = place.run(place.compose(plan("retrieve/toy", "tune/toy")))
    assert record.status == "done"
    assert record.systems["plan"].metrics["contained"].value == 1
    assert "broken on purpose" in record.systems["plan"].unavailable["evaluate/faulty"]


def test_what_cannot_answer_is_no_bundle_though_all_else_is_kept(toy_project):
    import toys

    from kistack.bundle.workspace import Workspace
    from kistack.errors import StepFailed
    from kistack.plugins.host import load_host

    host = load_host(entry_points=False, extra={"toys": toys.Toys(runtimes=[toys.ToyRuntime, toys.FullRuntime])})
    place = Workspace.find(toy_project, host=host)
    with pytest.raises(StepFailed, match=r"cannot answer: .*does not fit"):
        place.run(place.compose(plan("quantize/toy")))
    [record] = place.project.ledger().runs()
    assert record.status == "failed"
    assert record.systems["baseline"].metrics["contained"].count == 4
    assert record.bundle == ""
