import math

import pytest
from kistack_metrics.entailment_stage import EntailmentScoring, EvaluateEntailment

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.plugins.sessions import LogLikelihood

from .conftest import row


class Judge:
    """Finds what stands in the premise likely, word for word."""

    def __init__(self, bad=""):
        self.asked = []
        self.bad = bad

    def loglikelihood(self, items):
        self.asked.append(items)
        return [self._score(*item) for item in items]

    def _score(self, prompt, verdict):
        premise, _, rest = prompt[0]["content"].partition("\n\nHypothesis: ")
        hypothesis = rest.partition("\n\n")[0]
        if self.bad and self.bad in hypothesis:
            return LogLikelihood(math.nan, 1)
        stands = hypothesis.rpartition("? ")[2] in premise
        return LogLikelihood(-0.1 if stands == (verdict == "Yes") else -3.0, 1)


def noted(number, **more):
    text = f"The latest release of PHP 8.{number} is 8.{number}.29."
    return row(number, passages=[{"id": "p", "text": text, "document": "d", "title": "", "score": 1.0}], **more)


def judged(answered, evaluate, rows, judge=None, **settings):
    given = {"answers": answered(rows)}
    return evaluate(EvaluateEntailment(), given, EntailmentScoring(**settings), {"judge": judge or Judge()})


def test_sentences_that_the_passages_entail_are_counted(answered, evaluate):
    two = "The latest release of PHP 8.1 is 8.1.29. It is a good one."
    judge = Judge()
    scores = judged(answered, evaluate, [noted(0), noted(1, text=two), noted(2, text="8.2.1")], judge, batch=2)
    assert scores.items["entailment"] == [1.0, 0.5, 0.0]
    assert [len(items) for items in judge.asked] == [4, 4]
    assert {verdict for items in judge.asked for _, verdict in items} == {"Yes", "No"}
    assert "What is the latest release of PHP 8.0? The latest" in judge.asked[0][0][0][0]["content"]


def test_an_answer_that_abstains_claims_nothing(answered, evaluate):
    scores = judged(answered, evaluate, [noted(0), noted(1, text="I don't know.")])
    assert scores.totals["entailment"].count == 1
    assert scores.items == {}


def test_an_answer_or_a_verdict_that_failed_is_not_entailed_and_named(answered, evaluate):
    rows = [noted(0), noted(1, text=None), noted(2)]
    scores = judged(answered, evaluate, rows, Judge(bad="PHP 8.2"))
    assert scores.items["entailment"] == [1.0, 0.0, 0.0]
    assert scores.failed == ["q1", "q2"]
    assert any("q2" in line for line in evaluate.context.lines)


def test_the_threshold_decides(answered, evaluate):
    assert judged(answered, evaluate, [noted(0)], threshold=0.9).totals["entailment"].value == 1.0
    assert judged(answered, evaluate, [noted(0)], threshold=0.99).totals["entailment"].value == 0.0


def test_without_passages_there_is_nothing_to_entail_it(answered, evaluate):
    scores = judged(answered, evaluate, [row(0)])
    assert "without passages" in scores.unavailable["entailment"]


def test_a_larger_judge_is_estimated_dearer():
    stage, settings = EvaluateEntailment(), EntailmentScoring()
    answers = Type("answers", "jsonl", facts={"count": 100})
    small = Type("model", "hf", {"precision": "fp32"}, {"params": 1.3e8, "layers": 30, "hidden": 576, "vocab": 49152})
    large = Type("model", "hf", {"precision": "fp32"}, {"params": 1.7e9, "layers": 24, "hidden": 2048, "vocab": 49152})
    one, two = (stage.estimate(settings, Profile({}), {"answers": answers, "judge": j}) for j in (small, large))
    assert one.costs["seconds"] < two.costs["seconds"]
    assert stage.traits(settings).opt_in
    assert pytest.approx(0.5) == settings.threshold
