import json

import pytest
import toys
from facts import small_profile

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.prompt import PromptTemplate, template_of
from kistack.errors import StepFailed
from kistack.plugins.builtins import (
    AnswerItems,
    AnswerSettings,
    PairsPassages,
    PairsPassagesSettings,
    longest_answer,
    read_jsonl,
    serving_load,
    write_jsonl,
)
from kistack.testing import LocalContext, run_stage

DOCUMENTS = [
    {"id": "a", "title": "A", "text": "The latest release of Alpha is 1.2"},
    {"id": "b", "title": "B", "text": "The latest release of Beta is 3.4"},
]
PAIRS = [
    {
        "id": "1",
        "question": "What is the latest release of Alpha?",
        "answers": ["1.2"],
        "gold": ["a"],
        "group": "Alpha",
    },
    {"id": "2", "question": "What is the latest release of Beta?", "answers": ["3.4"], "gold": ["b"], "group": "Beta"},
]


@pytest.fixture
def pairs(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    write_jsonl(folder / "pairs.jsonl", PAIRS)
    PromptTemplate(system="be brief").write(folder)
    return folder


def artifact(kind, folder):
    return Artifact(kind, "jsonl", folder, "", "given", {"passages": "without"})


def test_items_with_passages_of_their_own_are_answered_with_those(tmp_path):
    folder = tmp_path / "items"
    folder.mkdir()
    shown = {"id": "b#0", "text": "The latest release of Beta is 3.4", "document": "b", "title": "B", "score": 0.0}
    write_jsonl(folder / "pairs.jsonl", [PAIRS[0], {**PAIRS[1], "passages": [shown]}])
    reader = toys.ToySession({"knows": {}, "reads": True})
    ctx = LocalContext(tmp_path, {"items": artifact("items", folder)}, {"model": reader})
    made = run_stage(AnswerItems(), ctx, AnswerSettings(latency_items=0))["answers"]
    rows = list(read_jsonl(made.path / "answers.jsonl"))
    assert [(r["text"], len(r["passages"])) for r in rows] == [("unknown", 0), ("3.4", 1)]


def test_pairs_get_the_passages_their_questions_retrieve(pairs, tmp_path):
    given = artifact("pairs", pairs)
    ctx = LocalContext(tmp_path, {"pairs": given}, {"index": toys.ToyIndex(DOCUMENTS, 1)})
    made = run_stage(PairsPassages(), ctx)["pairs"]
    rows = list(read_jsonl(made.path / "pairs.jsonl"))
    assert [r["passages"][0]["id"] for r in rows] == ["a", "b"]
    assert made.facets["passages"] == "with"
    assert made.facts["passages"] == 1
    assert template_of(made.path).system == "be brief"
    assert list(read_jsonl(pairs / "pairs.jsonl")) == PAIRS


def test_passages_of_training_pairs_stand_in_an_order_that_tells_nothing(tmp_path):
    documents = [{"id": f"d{n}", "title": "", "text": f"release of Alpha {n}"} for n in range(5)]
    folder = tmp_path / "many"
    folder.mkdir()
    questions = [f"What is release {n} of Alpha?" for n in range(60)]
    write_jsonl(folder / "pairs.jsonl", [{"id": q, "question": q, "answers": ["1"], "gold": []} for q in questions])
    index = toys.ToyIndex(documents, 5)

    def places(order, where):
        ctx = LocalContext(tmp_path / where, {"pairs": artifact("pairs", folder)}, {"index": index})
        made = run_stage(PairsPassages(), ctx, PairsPassagesSettings(order=order))["pairs"]
        shown = [[p["id"] for p in row["passages"]] for row in read_jsonl(made.path / "pairs.jsonl")]
        return [[p.id for p in found].index(ids[0]) for ids, found in zip(shown, index.search(questions), strict=True)]

    assert set(places("ranked", "a")) == {0}
    first = places("shuffled", "b")
    assert first == places("shuffled", "c")
    assert min(first.count(rank) for rank in range(5)) >= 4


def model(reads=True, knows=None):
    return toys.ToySession({"reads": reads, "knows": knows or {}})


def test_answers_carry_passages_tokens_and_times(pairs, tmp_path):
    ctx = LocalContext(
        tmp_path,
        {"items": artifact("items", pairs), "model": artifact("model", pairs), "index": artifact("index", pairs)},
        {"model": model(), "index": toys.ToyIndex(DOCUMENTS, 2)},
    )
    made = run_stage(AnswerItems(), ctx, AnswerSettings(latency_items=1))["answers"]
    rows = list(read_jsonl(made.path / "answers.jsonl"))
    assert [r["text"] for r in rows] == ["1.2", "3.4"]
    assert [len(r["passages"]) for r in rows] == [2, 2]
    assert rows[0]["gold"] == ["a"]
    speed = json.loads((made.path / "speed.json").read_text())
    assert len(speed["latency_seconds"]) == 1
    assert speed["latency_seconds"][0] >= speed["query_seconds"][0] > 0
    assert speed["tokens_per_second"] > 0
    assert speed["peak_bytes"] > 1e6
    assert {r["unit"] for r in ctx.reports} == {"answers", "single answers"}


def test_that_a_question_has_no_answer_travels_with_its_answer(tmp_path):
    folder = tmp_path / "items"
    folder.mkdir()
    write_jsonl(folder / "pairs.jsonl", [PAIRS[0], {**PAIRS[1], "unanswerable": True}])
    ctx = LocalContext(
        tmp_path, {"items": artifact("items", folder)}, {"model": toys.ToySession({"knows": {}, "reads": False})}
    )
    made = run_stage(AnswerItems(), ctx, AnswerSettings(latency_items=0))["answers"]
    rows = list(read_jsonl(made.path / "answers.jsonl"))
    assert [r.get("unanswerable") for r in rows] == [None, True]
    speed = json.loads((made.path / "speed.json").read_text())
    assert ("joules_per_answer" in speed) != ("energy_unavailable" in speed)


def test_without_an_index_the_question_stands_alone(pairs, tmp_path):
    ctx = LocalContext(
        tmp_path,
        {"items": artifact("items", pairs), "model": artifact("model", pairs)},
        {"model": model(knows={PAIRS[0]["question"]: "1.2"})},
    )
    made = run_stage(AnswerItems(), ctx)["answers"]
    assert [r["text"] for r in read_jsonl(made.path / "answers.jsonl")] == ["1.2", "unknown"]


def test_few_shot_prompts_show_training_pairs(pairs, tmp_path):
    seen = []

    class Spy(toys.ToySession):
        def generate(self, prompts, **kwargs):
            seen.extend(prompts)
            return super().generate(prompts, **kwargs)

    ctx = LocalContext(
        tmp_path,
        {"items": artifact("items", pairs), "model": artifact("model", pairs), "examples": artifact("pairs", pairs)},
        {"model": Spy({"reads": False, "knows": {}})},
    )
    settings = AnswerSettings(few_shot=2, latency_items=0)
    assert "examples" in AnswerItems().traits(settings).consumes
    run_stage(AnswerItems(), ctx, settings)
    assert [m["role"] for m in seen[0]] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert seen[0][2]["content"] == "1.2"


def test_no_items_is_an_error_with_a_remedy(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "pairs.jsonl").write_text("")
    ctx = LocalContext(tmp_path, {"items": artifact("items", folder)}, {"model": model()})
    with pytest.raises(StepFailed, match="no held-out question"):
        run_stage(AnswerItems(), ctx)


class Noting(toys.ToySession):
    limits: list

    def generate(self, prompts, *, max_new_tokens, batch=0, on_done=None):
        self.limits.append(max_new_tokens)
        return super().generate(prompts, max_new_tokens=max_new_tokens, batch=batch, on_done=on_done)


@pytest.mark.parametrize(("mean", "longest"), [(0, 32), (5, 32), (16, 32), (17, 48), (30, 64), (200, 400)])
def test_answers_may_be_as_long_as_labelled_ones(pairs, tmp_path, mean, longest):
    assert longest_answer(mean) == longest
    items = Type("items", "jsonl", {}, {"count": 2, "prompt_tokens": 40, "answer_tokens": mean})
    resolved = AnswerItems().resolve(AnswerSettings(), small_profile(), {"items": items})
    assert resolved.max_new_tokens == longest
    own = AnswerSettings(max_new_tokens=7)
    assert AnswerItems().resolve(own, small_profile(), {"items": items}) == own
    model = Noting({"knows": {}})
    model.limits = []
    run_stage(AnswerItems(), LocalContext(tmp_path, {"items": artifact("items", pairs)}, {"model": model}), resolved)
    assert set(model.limits) == {longest}


def test_answers_leave_room_for_prompts_in_the_context():
    assert longest_answer(300) == 608
    assert longest_answer(300, context=2048, prompt_tokens=1200) == 240
    assert longest_answer(300, context=512, prompt_tokens=1200) == 32
    assert longest_answer(5000) == 4096
    kinds = {
        "items": Type("items", "jsonl", {}, {"count": 2, "prompt_tokens": 100, "answer_tokens": 300}),
        "model": Type("model", "toy", {}, {"context": 2048}),
        "index": Type("index", "x", {}, {"passages": 5, "passage_tokens": 220}),
    }
    for settings, longest in ((AnswerSettings(), 240), (AnswerSettings(few_shot=1), 32)):
        assert AnswerItems().resolve(settings, small_profile(), kinds).max_new_tokens == longest


def test_estimates_grow_with_the_work():
    profile = small_profile()
    kinds = {"model": Type("model", "toy", {"precision": "fp32"}, {"params": 1e8, "layers": 12, "bytes": 4e8})}

    def seconds(count, **inputs):
        items = Type("items", "jsonl", {}, {"count": count, "prompt_tokens": 40, "answer_tokens": 8})
        return AnswerItems().estimate(AnswerSettings(), profile, {**kinds, "items": items, **inputs}).cost("seconds")

    index = Type("index", "x", {}, {"passages": 3, "passage_tokens": 50})
    assert seconds(10) < seconds(100) < seconds(100, index=index)
    few = Type("pairs", "jsonl", {"passages": "without"}, {"count": 10, "bytes": 1000})
    many = Type("pairs", "jsonl", {"passages": "without"}, {"count": 1000, "bytes": 100000})
    estimates = [PairsPassages().estimate(None, profile, {"pairs": p, "index": index}) for p in (few, many)]
    assert estimates[0].cost("seconds") < estimates[1].cost("seconds")
    assert estimates[1].facts["pairs"]["prompt_tokens"] == 190


def test_serving_load_adds_the_passages():
    assert serving_load(small_profile(), 90).prompt_tokens == 120
