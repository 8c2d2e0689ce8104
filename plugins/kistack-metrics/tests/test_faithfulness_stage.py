import pytest
from kistack_metrics.faithfulness_stage import EvaluateFaithfulness, FaithfulnessScoring

from .conftest import row


def passages(*texts):
    return [{"id": f"p{n}", "text": t, "document": f"d{n}", "title": "", "score": 0.5} for n, t in enumerate(texts)]


def noted(number, **more):
    return row(number, passages=passages(f"The latest release of PHP 8.{number} is 8.{number}.29."), **more)


def test_answers_that_repeat_their_passages_are_supported(answered, evaluate):
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered([noted(n) for n in range(10)])})
    assert scores.totals["lexical_support"].value == 1.0
    assert scores.items["lexical_support"] == [1.0] * 10
    assert scores.totals["hallucination_rate"].value == 0.0
    assert scores.totals["hallucination_rate"].high < 0.4
    assert "cites" in scores.unavailable["citation_precision"]


def test_an_answer_is_hallucinated_where_neither_passages_nor_gold_support_it(answered, evaluate):
    rows = [
        noted(0, text="8.0.1"),  # neither
        noted(1, text="8.1.28", answers=["8.1.28"]),  # gold, though not the passages
        row(2, text="8.2.7", passages=passages("PHP 8.2 is at 8.2.7.")),  # the passages, though not gold
        noted(3, text="I don't know."),
        noted(4, text=None),
    ]
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered(rows)})
    assert scores.items["hallucination_rate"] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert scores.failed == ["q4"]
    assert scores.totals["lexical_support"].count == 4
    assert "lexical_support" not in scores.items


def test_without_passages_only_gold_can_support_an_answer(answered, evaluate):
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered([row(0), row(1, text="8.1.1")])})
    assert scores.items["hallucination_rate"] == [0.0, 1.0]
    for metric in ("lexical_support", "citation_precision"):
        assert "without passages" in scores.unavailable[metric]


def test_any_answer_to_an_unanswerable_question_needs_its_passages(answered, evaluate):
    said = {"answers": ["I don't know."], "unanswerable": True}
    rows = [noted(0, text="9.9.9", **said), noted(1, text="I don't know.", **said)]
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered(rows)})
    assert scores.items["hallucination_rate"] == [1.0, 0.0]


def test_citations_are_counted_over_all_answers(answered, evaluate):
    rows = [noted(0, text="It is 8.0.29 [1]."), noted(1, text="It is 8.1.29 [2]."), noted(2)]
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered(rows)})
    assert scores.totals["citation_precision"].value == 0.5
    assert scores.totals["citation_precision"].count == 2


@pytest.mark.parametrize(("threshold", "rate"), [(0.2, 0.0), (1.0, 1.0)])
def test_the_threshold_decides_what_counts_as_supported(answered, evaluate, threshold, rate):
    rows = [row(0, text="release of bananas", passages=passages("The latest release of PHP 8.0"))]
    settings = FaithfulnessScoring(threshold=threshold)
    scores = evaluate(EvaluateFaithfulness(), {"answers": answered(rows)}, settings)
    assert scores.totals["hallucination_rate"].value == rate
