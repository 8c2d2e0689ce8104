"""The demo in small, on its real model and its real embedder: retrieve, tune, quantize, answer."""

import json
from importlib.util import find_spec

import pytest

from kistack.bundle.manifest import read_manifest
from kistack.bundle.opening import open_bundle
from kistack.bundle.workspace import Workspace
from kistack.demo.models import DEMO_MODELS
from kistack.demo.project import write_project
from kistack.domain.plan import Plan, Step

MISSING = [
    m.requirement for m in DEMO_MODELS if find_spec(m.reference.removeprefix("package:").partition("/")[0]) is None
]

pytestmark = [
    pytest.mark.model,
    pytest.mark.system,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (kistack models fetch demo)"),
]

PLAN = Plan(
    steps=(
        Step(use="retrieve/llamaindex", **{"with": {"top_k": 2}}),
        Step(use="tune/lora", **{"with": {"rank": 4, "alpha": 8, "epochs": 1, "batch": 4}}),
        Step(use="quantize/gguf", **{"with": {"kind": "Q8_0"}}),
    ),
    evaluate=("evaluate/answers", "evaluate/retrieval"),
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The demo's project with 24 pairs to learn from, 8 to be judged by, and the documents of their products."""
    folder = tmp_path_factory.mktemp("real") / "desk"
    write_project(folder, snapshots=False, train=24, test=8)
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert len(pairs) == 32
    wanted = {document for pair in pairs for document in pair["gold"]}
    for file in (folder / "documents").glob("*.jsonl"):
        if not wanted & {json.loads(line)["id"] for line in file.read_text().splitlines()}:
            file.unlink()
    return folder


@pytest.fixture(scope="module")
def run(desk):
    place = Workspace.find(desk)
    return place, place.run(place.compose(PLAN))


def test_it_runs_from_end_to_end_with_scores_in_range(run):
    _, record = run
    assert record.status == "done"
    assert all(s.status == "done" for s in record.steps)
    assert set(record.systems) >= {"baseline", "plan"}
    for system in record.systems.values():
        assert len(system.items["contained"]) == 8
        for metric in ("contained", "f1", "exact_match"):
            found = system.metrics[metric]
            assert 0 <= found.low <= found.value <= found.high <= 1
    assert record.systems["plan"].metrics["recall@1"].value > 0.5


def test_the_bundle_is_smaller_than_the_base_and_answers_with_sources(run):
    place, record = run
    assert record.systems["plan"].metrics["bytes"].value > 0
    manifest = read_manifest(place.project.run_folder(record.run) / "bundle")
    model = manifest.parts[manifest.models["model"]]
    assert model.format == "gguf"
    assert model.facts["bytes"] < 0.65 * place.profile().number("model.params") * 2
    question = json.loads((place.project.root / "pairs.jsonl").read_text().splitlines()[-1])["question"]
    with open_bundle(record.bundle) as bundle:
        answer = bundle.ask(question, max_new_tokens=16)
    assert answer.text.strip()
    assert len(answer.passages) == 2


def test_the_licences_travel_with_the_bundle(run):
    place, record = run
    folder = place.project.run_folder(record.run) / "bundle"
    licences = {licence.of.partition(" ")[0]: licence for licence in read_manifest(folder).licences}
    assert licences["data"].licence == "MIT"
    assert "MIT" in (folder / licences["data"].text).read_text()
    assert licences["model"].licence == "Apache-2.0"


def test_merging_and_exporting_the_real_model_keep_its_answers(run):
    _, record = run
    by_use = {s.use: s for s in record.steps}
    assert 0 <= by_use["merge/peft"].results["model.kl"] < 0.01
    assert by_use["quantize/gguf"].results["model.agreement"] > 0.8
