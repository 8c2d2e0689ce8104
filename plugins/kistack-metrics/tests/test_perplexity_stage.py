import json
import math

import pytest
from kistack_metrics.perplexity_stage import EvaluatePerplexity, PerplexityScoring

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.prompt import Passage, PromptTemplate
from kistack.errors import DataError, StepFailed
from kistack.plugins.sessions import LogLikelihood


class Model:
    """Gives every token of an answer (its words) the same probability, by the length of the first word."""

    def __init__(self):
        self.asked = []

    def loglikelihood(self, items):
        self.asked += items
        return [LogLikelihood(-0.1 * len(a.split()[0]) * len(a.split()), len(a.split())) for _, a in items]

    def close(self):
        pass


class Index:
    def search(self, queries):
        return [[Passage("p", f"note on {q}", "d")] for q in queries]

    def close(self):
        pass


@pytest.fixture
def items(tmp_path):
    def write(rows, template=None):
        folder = tmp_path / "items"
        folder.mkdir(exist_ok=True)
        (folder / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        if template:
            template.write(folder)
        return Artifact("items", "jsonl", folder, "digest", "key")

    return write


ROWS = [
    {"id": "a", "question": "one?", "answers": ["ab cd ef", "other"]},
    {"id": "b", "question": "two?", "answers": ["abcd"]},
    {"id": "c", "question": "three?", "answers": ["a"]},
]


def test_perplexity_weighs_items_by_their_tokens(items, evaluate):
    model = Model()
    scores = evaluate(EvaluatePerplexity(), {"items": items(ROWS)}, sessions={"model": model})
    assert scores.totals["perplexity"].value == pytest.approx(math.exp((0.6 + 0.4 + 0.1) / 5))
    assert scores.items["perplexity"] == pytest.approx([math.exp(0.2), math.exp(0.4), math.exp(0.1)])
    assert scores.totals["perplexity"].low < scores.totals["perplexity"].high
    assert scores.totals["perplexity"].count == 3
    assert scores.items["log_likelihood"] == pytest.approx([-0.6, -0.4, -0.1])
    assert scores.totals["log_likelihood"].value == pytest.approx(-1.1 / 3)
    assert scores.totals["log_likelihood"].unit == "nats"
    prompt, answer = model.asked[0]
    assert answer == "ab cd ef"
    assert prompt == PromptTemplate().render("one?")


def test_of_many_items_an_even_sample_is_scored(items, evaluate):
    rows = [{"id": str(n), "question": f"q{n}?", "answers": ["a" * (n + 1)]} for n in range(10)]
    model = Model()
    scores = evaluate(EvaluatePerplexity(), {"items": items(rows)}, PerplexityScoring(most=4), {"model": model})
    assert [answer for _, answer in model.asked] == ["a", "aaa", "aaaaaa", "aaaaaaaa"]
    assert scores.totals["perplexity"].count == 4
    assert scores.items == {}
    whole = evaluate(EvaluatePerplexity(), {"items": items(rows)}, PerplexityScoring(most=0), {"model": Model()})
    assert len(whole.items["perplexity"]) == 10


def test_a_sample_is_estimated_cheaper():
    model = Type("model", "hf", {"precision": "fp32"}, {"params": 1.3e8, "layers": 30, "hidden": 576, "vocab": 49152})
    given = {"model": model, "items": Type("items", facts={"count": 1000, "prompt_tokens": 50})}
    few, all_ = (
        EvaluatePerplexity().estimate(PerplexityScoring(most=n), Profile({}), given).costs["seconds"] for n in (64, 0)
    )
    assert few < all_ / 4


def test_prompts_are_worded_as_the_items_say(items, evaluate):
    model = Model()
    template = PromptTemplate(system="", bare="Q: {question}")
    evaluate(EvaluatePerplexity(), {"items": items(ROWS, template)}, PerplexityScoring(batch=2), {"model": model})
    assert model.asked[2][0] == [{"role": "user", "content": "Q: three?"}]
    assert [r["done"] for r in evaluate.context.reports] == [2, 3]


def test_a_system_with_an_index_is_scored_with_its_passages(items, evaluate):
    model = Model()
    given = {"items": items(ROWS), "index": Artifact("index", "x", items(ROWS).path, "d", "k")}
    evaluate(EvaluatePerplexity(), given, sessions={"model": model, "index": Index()})
    assert "[1] note on one?" in model.asked[0][0][-1]["content"]


def test_passages_that_items_carry_are_used(items, evaluate):
    model = Model()
    carried = {**ROWS[0], "passages": [{"id": "p", "text": "carried", "document": "d", "title": "", "score": 1.0}]}
    evaluate(EvaluatePerplexity(), {"items": items([carried])}, sessions={"model": model})
    assert "[1] carried" in model.asked[0][0][-1]["content"]


@pytest.mark.parametrize("bad", [LogLikelihood(math.nan, 3), LogLikelihood(-math.inf, 3), LogLikelihood(0.0, 0)])
def test_an_answer_without_a_probability_is_not_averaged_away(items, evaluate, bad):
    class Failing(Model):
        def loglikelihood(self, items):
            return [bad, *super().loglikelihood(items[1:])]

    scores = evaluate(EvaluatePerplexity(), {"items": items(ROWS)}, sessions={"model": Failing()})
    assert scores.failed == ["a"]
    assert "a" in scores.unavailable["perplexity"]
    assert scores.totals == {}
    assert "a" in scores.unavailable["log_likelihood"]


def test_no_items_and_incomplete_items_are_refused(items, evaluate):
    with pytest.raises(StepFailed, match="no held-out item"):
        evaluate(EvaluatePerplexity(), {"items": items([])}, sessions={"model": Model()})
    with pytest.raises(DataError, match=r"pairs\.jsonl:2"):
        evaluate(EvaluatePerplexity(), {"items": items([ROWS[0], {"id": "x"}])}, sessions={"model": Model()})


def test_longer_prompts_are_estimated_dearer():
    model = Type("model", "hf", {"precision": "fp32"}, {"params": 1.3e8, "layers": 30, "hidden": 576, "vocab": 49152})
    stage = EvaluatePerplexity()
    bare = {"model": model, "items": Type("items", facts={"count": 100, "prompt_tokens": 50})}
    index = Type("index", facts={"passages": 3, "passage_tokens": 100})
    settings = PerplexityScoring()
    short = stage.estimate(settings, Profile({}), bare)
    long = stage.estimate(settings, Profile({}), {**bare, "index": index})
    assert short.costs["seconds"] < long.costs["seconds"]
    assert long.costs["peak_bytes"] > short.costs["peak_bytes"]
