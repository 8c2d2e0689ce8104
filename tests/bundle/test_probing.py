"""A toy that knows one answer and reads the first passage, asked nine pairs of which retrieval misses one."""

import json
import shutil

import pytest
import toys

from kistack.advisor.features import probed as measured_shares
from kistack.bundle.workspace import Workspace
from kistack.errors import InputError, InvalidInput, PlanError
from kistack.evaluation.probe_nodes import probe_pipeline, retriever_of
from kistack.evaluation.probe_sample import bare_questions
from kistack.execution.events import StepReused, StepStarted
from kistack.plugins.host import load_host
from kistack.profiling.splits import load_pairs

SCENARIO = """\
schema: 1
name: probed-desk
task: {kind: facts, metric: contained}
knowledge:
  corpus: {path: documents, licence: MIT}
  pairs: pairs.jsonl
  changes: 1%/day
models: {base: "toy:scholar"}
limits: {memory: 4GB}
"""


def write_project(root, scenario=SCENARIO, *, gold=True):
    (root / "documents").mkdir(parents=True)
    rows = []
    for n in range(12):
        (root / "documents" / f"Product{n}.md").write_text(f"The latest release of Product{n} is 1.{n}\n")
        question = f"What is the latest release of Product{n}"
        rows.append({"question": question, "answer": f"1.{n}", "gold": [f"Product{n}.md"]})
        rows[-1]["split"] = "test" if n % 3 == 0 else "train"
    rows.append({"question": "Newest eighth", "answer": "1.8", "gold": ["Product8.md"], "split": "train"})
    for row in rows if not gold else ():
        del row["gold"]
    (root / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (root / "kistack.yaml").write_text(scenario)
    return root


@pytest.fixture(scope="module")
def host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture(scope="module")
def original(tmp_path_factory, host):
    """A probed project, what the probe found and what was told meanwhile."""
    told = []
    place = Workspace.find(write_project(tmp_path_factory.mktemp("probed") / "desk"), host=host, notify=told.append)
    return place.project.root, place.probe(), told, place.profile()


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original[0], tmp_path / "copy")


def test_the_shares_are_what_the_model_can_do(original):
    _, found, _, _ = original
    shares = {name: (round(s.value * s.count), s.count) for name, s in found.shares.items()}
    assert shares == {"closed_book": (1, 9), "gold_passage": (9, 9), "retrieved": (8, 9), "recall": (8, 9)}
    assert all(s.low <= s.value <= s.high and s.low < s.high for s in found.shares.values())
    assert (found.pairs, found.available, found.missing) == (9, 9, {})


def test_the_time_is_told_before_anything_runs(original):
    assert "probing 9 of 9 training pairs" in original[2][0]
    assert "about" in original[2][0]


def test_only_the_file_of_the_probe_stays(original):
    assert [p.suffix for p in (original[0] / ".kistack" / "probes").iterdir()] == [".json"]
    assert list((original[0] / ".kistack" / "runs").iterdir()) == []


def test_the_profile_has_its_facts_at_once_and_later(original, copy, host):
    later = Workspace.find(copy, host=host).profile()
    assert later.section("probe") == original[3].section("probe")
    assert later["probe.recall"].source == "measured"
    assert {name for name, _, _ in measured_shares(later)} == {"closed_book", "reading", "recall"}


def test_advice_rests_on_it(copy, host):
    advice = Workspace.find(copy, host=host).advise()
    nothing = next(c for c in advice.candidates if not c.plan.steps)
    assert any("answers 11 % of such facts from its weights (probed)" in r.because for r in nothing.reasons)
    assert not any("--probe" in n for n in advice.notes)


def test_a_what_if_rests_on_it_too(copy, host):
    place = Workspace.find(copy, host=host)
    before = place.advise()
    after = place.advise(changes={"traffic.queries_per_day": "60"})
    points = [next(c.quality for c in advice.candidates if not c.plan.steps) for advice in (before, after)]
    assert points[0] == points[1]


def test_what_stands_is_not_asked_again(copy, host):
    told, events = [], []
    place = Workspace.find(copy, host=host, notify=told.append)
    assert place.probe(5, on_event=events.append).pairs == 9
    assert events == []
    assert "stands" in told[0]


def test_nothing_is_answered_twice(copy, host):
    [file] = (copy / ".kistack" / "probes").iterdir()
    before = json.loads(file.read_text())["shares"]
    file.unlink()
    events = []
    found = Workspace.find(copy, host=host).probe(on_event=events.append)
    assert not any(isinstance(e, StepStarted) for e in events)
    assert sum(isinstance(e, StepReused) for e in events) == 8
    assert json.loads(file.read_text())["shares"] == before
    assert found.pairs == 9


def test_held_out_pairs_are_never_asked(original):
    held_out = {f"What is the latest release of Product{n}" for n in (0, 3, 6, 9)}
    files = list((original[0] / ".kistack" / "store" / "artifacts").rglob("answers.jsonl"))
    asked = {json.loads(line)["question"] for f in files for line in f.read_text().splitlines()}
    assert len(asked) == 9
    assert asked.isdisjoint(held_out)


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("documents/Product1.md", "1.1", "9.9", "the documents have changed"),
        ("pairs.jsonl", "Newest eighth", "Newest eighth one", "the training pairs or their wording have changed"),
        ("kistack.yaml", "toy:scholar", "toy:base", "the base model has changed"),
        ("kistack.yaml", "contained", "perplexity", "the metric has changed"),
    ],
)
def test_a_stale_probe_is_not_used_and_the_profile_says_why(copy, host, file, old, new, words):
    path = copy / file
    path.write_text(path.read_text().replace(old, new))
    profile = Workspace.find(copy, host=host).profile()
    assert profile.number("probe.pairs") == 0
    assert words in profile["probe.pairs"].why
    assert "probe.closed_book" not in profile


def test_what_the_probe_does_not_rest_on_may_change(copy, host):
    path = copy / "kistack.yaml"
    path.write_text(path.read_text().replace("memory: 4GB", "memory: 2GB").replace("1%/day", "2%/day"))
    assert Workspace.find(copy, host=host).profile().number("probe.pairs") == 9


def test_a_metric_that_nobody_gives_is_said_and_nothing_is_kept(copy, host):
    path = copy / "kistack.yaml"
    path.write_text(path.read_text().replace("metric: contained", "metric: charm"))
    place = Workspace.find(copy, host=host)
    with pytest.raises(InvalidInput, match="no installed evaluator gives 'charm'"):
        place.probe()
    path.write_text(path.read_text().replace("metric: charm", "metric: contained"))
    assert Workspace.find(copy, host=host).profile().number("probe.pairs") == 9


def test_without_documents_only_the_weights_are_asked(tmp_path, host):
    text = SCENARIO.replace("kind: facts", "kind: behaviour").replace("  corpus: {path: documents, licence: MIT}\n", "")
    place = Workspace.find(write_project(tmp_path / "desk", text), host=host)
    found = place.probe(3)
    assert set(found.shares) == {"closed_book"}
    assert set(found.missing) == {"gold_passage", "retrieved", "recall"}
    assert set(found.missing.values()) == {"the scenario names no documents"}
    assert "the scenario names no documents" in place.profile()["probe.pairs"].why


def test_without_gold_recall_is_told_by_the_answers(tmp_path, host):
    found = Workspace.find(write_project(tmp_path / "desk", gold=False), host=host).probe()
    assert set(found.shares) == {"closed_book", "retrieved", "recall"}
    assert round(9 * found.shares["recall"].value) == 8
    assert "(gold)" in found.missing["gold_passage"]


def test_without_pairs_there_is_one_line(tmp_path, host):
    root = write_project(tmp_path / "desk", SCENARIO.replace("  pairs: pairs.jsonl\n", ""))
    with pytest.raises(InputError, match="nothing can be probed: the scenario names no labelled pairs"):
        Workspace.find(root, host=host).probe()
    with pytest.raises(InputError, match="0 pairs cannot be asked"):
        Workspace.find(root, host=host).probe(0)


class Without:
    """The toys without one kind of stage."""

    def __init__(self, *left_out):
        for name, value in vars(toys).items():
            if name.startswith("kistack_register_") and name.removeprefix("kistack_register_") not in left_out:
                setattr(self, name, value)


def pipeline_of(root, host):
    place = Workspace.find(root, host=host)
    profile = place.profile()
    retriever, reason = retriever_of(profile, host)
    items = bare_questions(load_pairs(place.scenario).train, place.scenario.template).type
    return probe_pipeline(profile, host, retriever, items, None), reason


def test_without_a_retriever_the_reason_is_told(tmp_path):
    host = load_host(entry_points=False, extra={"toys": Without("retrievers")})
    pipeline, reason = pipeline_of(write_project(tmp_path / "desk"), host)
    assert set(pipeline.systems) == {"closed_book"}
    assert reason == "no retriever is installed"


def test_without_an_evaluator_nothing_is_started(tmp_path):
    host = load_host(entry_points=False, extra={"toys": Without("evaluators")})
    with pytest.raises(PlanError, match="no installed evaluator scores answers"):
        pipeline_of(write_project(tmp_path / "desk"), host)


def test_single_answers_are_not_timed_and_models_are_opened_only_to_answer(tmp_path, host):
    pipeline, _ = pipeline_of(write_project(tmp_path / "desk"), host)
    answering = [n for n in pipeline.nodes if n.label == "answer/items"]
    assert [n.settings.latency_items for n in answering] == [0, 0]
    assert {n.label for n in pipeline.nodes} == {"source/toy", "retrieve/toy", "answer/items", "evaluate/toy"}
