import pytest
from kistack_metrics.answer_stage import AnswerScoring, EvaluateAnswers

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.errors import StoreError

from .conftest import row


def test_right_answers_in_sentences_are_contained_but_not_exact(answered, evaluate):
    scores = evaluate(EvaluateAnswers(), {"answers": answered([row(n) for n in range(20)])})
    assert scores.items["contained"] == [1.0] * 20
    assert scores.totals["contained"].value == 1.0
    assert 0.8 < scores.totals["contained"].low < 1.0
    assert scores.totals["exact_match"].value == 0.0
    assert 0.2 < scores.totals["f1"].value < 0.4
    assert 0.2 < scores.totals["rouge_l"].value < 0.8
    assert scores.failed == []


def test_items_keep_the_order_of_the_answers(answered, evaluate):
    rows = [row(0), row(1, text="8.1.28"), row(2, text="8.2.29"), row(3, text="")]
    scores = evaluate(EvaluateAnswers(), {"answers": answered(rows)})
    assert scores.items["contained"] == [1.0, 0.0, 1.0, 0.0]
    assert scores.items["exact_match"] == [0.0, 0.0, 1.0, 0.0]


def test_strict_also_refuses_what_the_question_mentions(answered, evaluate):
    given = {"answers": answered([row(0), row(1, text="8.1.29")])}
    scores = evaluate(EvaluateAnswers(), given, AnswerScoring(strict=True))
    assert scores.items["contained"] == [0.0, 1.0]


def test_an_item_without_an_answer_is_wrong_and_named(answered, evaluate):
    scores = evaluate(EvaluateAnswers(), {"answers": answered([row(0), row(1, text=None)])})
    assert scores.failed == ["q1"]
    assert scores.totals["failed"].value == 1.0
    for metric in ("contained", "exact_match", "f1", "rouge_1", "rouge_2", "rouge_l", "chrf"):
        assert scores.items[metric][1] == 0.0
    assert "q1" in evaluate.context.lines[0]


def test_an_item_without_an_answer_in_the_documents_is_right_where_the_system_abstains(answered, evaluate):
    said = {"answers": ["That is not in our notes."], "unanswerable": True}
    texts = ("I don't know.", "That is not in our notes", "8.1.29", "", None)
    rows = [row(n, text=text, **said) for n, text in enumerate(texts)]
    scores = evaluate(EvaluateAnswers(), {"answers": answered(rows)})
    for metric in ("contained", "exact_match", "f1"):
        assert scores.items[metric] == [1.0, 1.0, 0.0, 1.0, 0.0]
    assert scores.items["chrf"][1] > 90
    assert scores.failed == ["q4"]


def test_short_answers_have_no_bleu_and_long_ones_do(answered, evaluate):
    scores = evaluate(EvaluateAnswers(), {"answers": answered([row(0)])})
    assert "four tokens" in scores.unavailable["bleu"]
    assert "bleu" not in scores.totals
    long = row(0, answers=["the cat sat on the mat"], text="the cat sat on the mat")
    scores = evaluate(EvaluateAnswers(), {"answers": answered([long, row(1, answers=["a b c d e"], text="x")])})
    assert scores.totals["bleu"].unit == "BLEU"
    assert scores.items["bleu"] == pytest.approx([100.0, 0.0])


@pytest.mark.parametrize(
    ("content", "place"),
    [("", "no answers"), ("{", ":1: not JSON"), ("[1]\n", ":1: not a JSON object"), ('\n{"id": 1}', ":2: this is no")],
)
def test_damaged_answers_are_named_with_their_line(answered, evaluate, content, place):
    artifact = answered([])
    (artifact.path / "answers.jsonl").write_text(content)
    with pytest.raises(StoreError, match=place) as caught:
        evaluate(EvaluateAnswers(), {"answers": artifact})
    assert caught.value.hint


def test_the_size_of_scores_is_estimated_closely(answered, evaluate, tmp_path):
    artifact = answered([row(n, text=f"8.{n}.29 or so") for n in range(200)])
    evaluate(EvaluateAnswers(), {"answers": artifact})
    written = (tmp_path / "work/out/scores/scores.json").stat().st_size
    inputs = {"answers": Type("answers", "jsonl", facts={"count": 200})}
    estimate = EvaluateAnswers().estimate(AnswerScoring(), Profile({}), inputs)
    assert 0.5 < written / estimate.facts["scores"]["bytes"] < 2
    assert estimate.costs["seconds"] > 0
