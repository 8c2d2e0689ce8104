from kistack_metrics.abstention_stage import AbstentionScoring, EvaluateAbstention

from .conftest import row

NO_ANSWER = {"answers": ["I don't know."], "unanswerable": True, "gold": []}


def test_it_answers_when_it_should_and_abstains_when_it_should(answered, evaluate):
    rows = [
        row(0),
        row(1, text="wrong, but an answer"),
        row(2, text="I don't know."),
        row(3, text=None),
        row(4, text="I don't know.", **NO_ANSWER),
        row(5, text="8.1.1", **NO_ANSWER),
    ]
    scores = evaluate(EvaluateAbstention(), {"answers": answered(rows)})
    assert scores.items["abstention_accuracy"] == [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert scores.totals["answer_rate"].value == 0.5
    assert scores.totals["answer_rate"].count == 4
    assert scores.totals["abstention_recall"].value == 0.5
    assert scores.totals["abstention_precision"].value == 0.5
    assert set(scores.items) == {"abstention_accuracy"}
    assert scores.failed == ["q3"]


def test_where_every_question_has_an_answer_only_the_answer_rate_is_known(answered, evaluate):
    scores = evaluate(EvaluateAbstention(), {"answers": answered([row(0), row(1, text="not sure")])})
    assert scores.totals["answer_rate"].value == 0.5
    assert set(scores.unavailable) == {"abstention_accuracy", "abstention_recall", "abstention_precision"}
    assert all("unanswerable: true" in why for why in scores.unavailable.values())


def test_where_no_question_has_an_answer_there_is_no_answer_rate(answered, evaluate):
    scores = evaluate(EvaluateAbstention(), {"answers": answered([row(0, **NO_ANSWER)])})
    assert "every item" in scores.unavailable["answer_rate"]
    assert "never abstained" in scores.unavailable["abstention_precision"]


def test_further_wordings_count(answered, evaluate):
    given = {"answers": answered([row(0, text="Keine Angabe.", **NO_ANSWER)])}
    assert evaluate(EvaluateAbstention(), given).totals["abstention_recall"].value == 0.0
    settings = AbstentionScoring(wordings=("keine Angabe",))
    assert evaluate(EvaluateAbstention(), given, settings).totals["abstention_recall"].value == 1.0
