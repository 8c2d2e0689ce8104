"""All four techniques by the real plugins, on models small enough to be made here."""

import json
import shutil

import psutil
import pytest
import tinydesk

from kistack.bundle.manifest import read_manifest
from kistack.bundle.opening import open_bundle
from kistack.bundle.workspace import Workspace
from kistack.cli import main
from kistack.domain.planfile import load_plan

pytestmark = pytest.mark.system

QUESTION = "Which colour has the bridge of Aar 1?"


def step_of(record, use):
    [found] = [s for s in record.steps if s.use == use]
    return found


def made(finished, use, out="model"):
    """The artifact that a step of the run left."""
    return finished.place.store.lookup(step_of(finished.record, use).key).outputs[out]


def test_every_technique_runs_and_leaves_its_artifact(finished):
    record = finished.record
    assert record.status == "done"
    assert {s.use for s in record.steps if s.auto} == {"pairs/passages", "signals/topk", "merge/peft"}
    adapter = made(finished, "tune/lora")
    assert adapter.format == "hf+peft"
    assert (adapter.path / "adapter_model.safetensors").is_file()
    assert [a.format for a in adapter.requires] == ["hf"]
    merged = made(finished, "merge/peft")
    assert (merged.format, merged.facets["merged"], merged.requires) == ("hf", "yes", ())
    quantized = made(finished, "quantize/gguf")
    assert (quantized.path / "model.gguf").read_bytes()[:4] == b"GGUF"
    assert quantized.fact("bytes") < merged.fact("bytes")
    file = made(finished, "pairs/passages", "pairs").path / "pairs.jsonl"
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(pairs) == 72
    assert all(len(p["passages"]) == 2 for p in pairs)


def test_the_student_is_smaller_and_nearer_to_its_teacher_than_untaught(finished):
    told = step_of(finished.record, "distill/response").results
    assert told["model.layers"] == 2
    assert 0 <= told["model.kl_after"] < told["model.kl_before"]
    assert made(finished, "distill/response").fact("layers") == 2


def test_merging_and_exporting_are_proven_to_change_nothing_much(finished):
    assert 0 <= step_of(finished.record, "merge/peft").results["model.kl"] < 0.01
    exported = step_of(finished.record, "quantize/gguf").results
    if exported["model.kl_measured"]:
        assert 0 <= exported["model.kl"] < 0.5


def test_every_step_has_predictions_beside_measurements(finished):
    for step in finished.record.steps:
        assert step.status == "done"
        assert step.predicted["seconds"] > 0
        assert step.predicted["peak_bytes"] > 0
        assert step.measured["seconds"] >= 0
        assert step.measured["peak_bytes"] > 1e6


def test_plan_and_baselines_have_scores_and_say_what_has_none(finished):
    systems = finished.record.systems
    assert set(systems) == {"baseline", "few-shot", "plan"}
    for system in systems.values():
        assert len(system.items["contained"]) == 8
        assert 0 <= system.metrics["contained"].low <= system.metrics["contained"].value <= 1
        assert {"f1", "exact_match", "latency_p50", "tokens_per_second", "bytes"} <= system.metrics.keys()
    assert "retrieved" in systems["baseline"].unavailable["mrr"]
    assert 0 <= systems["plan"].metrics["mrr"].value <= 1


def test_perplexity_is_told_where_the_runtime_has_logits_and_nowhere_else(finished):
    gives = {
        fmt: {g for o in finished.place.host.openers("model", fmt) for g in opened_by(o, fmt)} for fmt in ("hf", "gguf")
    }
    for name, fmt in (("baseline", "hf"), ("plan", "gguf")):
        system = finished.record.systems[name]
        if "loglikelihood" in gives[fmt]:
            assert system.metrics["perplexity"].value > 1
        else:
            assert "loglikelihood" in system.unavailable["evaluate/perplexity"]
    assert "loglikelihood" in gives["hf"]


def opened_by(stage, fmt):
    return {g for o in stage.traits(stage.Settings()).opens if fmt in o.format.split("|") for g in o.gives}


def test_the_second_run_does_nothing(finished):
    place = Workspace.find(finished.root)
    again = place.run(place.compose(load_plan(finished.root / "plan.yaml")))
    assert {s.status for s in again.steps} == {"reused"}
    assert [s.outputs for s in again.steps] == [s.outputs for s in finished.record.steps]
    assert again.systems["plan"].metrics["contained"] == finished.record.systems["plan"].metrics["contained"]


def test_a_plan_with_fewer_steps_shares_what_is_done(finished):
    place = Workspace.find(finished.root)
    (finished.root / "less.yaml").write_text(
        "\n".join(line for line in tinydesk.ALL_FOUR.splitlines() if "quantize" not in line)
    )
    pipeline = place.compose(load_plan(finished.root / "less.yaml"))
    cached = place.cached(pipeline)
    assert {n.label for n in pipeline.nodes if n.purpose != "evaluation" and n.key not in cached} == set()


def test_a_copied_bundle_is_whole_and_answers(finished, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(finished.record.bundle, elsewhere)
    manifest = read_manifest(elsewhere)
    assert not any(p.is_symlink() for p in elsewhere.rglob("*"))
    assert manifest.parts[manifest.models["model"]].format == "gguf"
    with open_bundle(elsewhere) as bundle:
        assert bundle.verify() == []
        answer = bundle.ask(QUESTION)
        again = bundle.ask(QUESTION)
    assert len(answer.passages) == 2
    assert all(p.text.startswith("The bridge of ") for p in answer.passages)
    assert answer.text == again.text


def test_a_model_beyond_the_free_memory_is_refused_before_it_is_loaded(finished, monkeypatch, capsys):
    tight = psutil.virtual_memory()._replace(available=1000, free=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: tight)
    code = main.run(["ask", finished.record.bundle, QUESTION])
    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert "GiB are free" in told.err
    assert "hint: " in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize("name", ["model.gguf", "index"])
def test_a_damaged_bundle_is_found_by_verify(finished, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(finished.record.bundle, elsewhere)
    manifest = read_manifest(elsewhere)
    part = manifest.models["model"] if name == "model.gguf" else manifest.index
    victim = max((elsewhere / manifest.parts[part].path).rglob("*"), key=lambda p: p.is_file() and p.stat().st_size)
    victim.chmod(0o644)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    with open_bundle(elsewhere) as bundle:
        assert bundle.verify() == [f"{part} has changed"]
