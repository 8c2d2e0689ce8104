import pytest
from kistack_metrics.judge_stage import EvaluateJudge, JudgeScoring, Labelled
from pydantic import ValidationError

from kistack.errors import StepFailed

from .conftest import row


def strict(body):
    """Calls correct what repeats an accepted answer word for word."""
    asked = body["messages"][-1]["content"]
    accepted = [line[2:] for line in asked.splitlines() if line.startswith("- ")]
    graded = asked.partition("<answer>\n")[2]
    return "CORRECT" if any(a in graded for a in accepted) else "The answer is INCORRECT."


def judged(answered, evaluate, server, rows, **settings):
    made = JudgeScoring(endpoint=server.url, tries=1, **settings)
    return evaluate(EvaluateJudge(), {"answers": answered(rows)}, made)


def test_every_answer_gets_a_verdict_in_its_place(answered, evaluate, endpoint):
    server = endpoint(strict)
    rows = [row(0), row(1, text="8.1.28"), row(2), row(3, text="no idea")]
    scores = judged(answered, evaluate, server, rows, model="small")
    assert scores.items["judged_correct"] == [1.0, 0.0, 1.0, 0.0]
    assert scores.totals["judge_kappa_contained"].value == 1.0
    assert scores.totals["judge_failed"].value == 0.0
    assert {body["model"] for _, body in server.asked} == {"small"}
    assert "Question: What is the latest release of PHP 8.0?" in server.asked[0][1]["messages"][-1]["content"]


def test_agreement_with_people_is_shown(answered, evaluate, endpoint):
    wrong = [Labelled(question="q", answers=("8.1",), text="8.1", correct=False)]
    texts = ("8.1", "8.1", "9", "9", "7")
    right = [Labelled(question="q", answers=("8.1",), text=t, correct=t == "8.1") for t in texts]
    scores = judged(answered, evaluate, endpoint(strict), [row(0), row(1)], labels=(*right, *wrong))
    assert scores.totals["judge_agreement"].value == pytest.approx(5 / 6)
    assert scores.totals["judge_agreement"].count == 6
    assert scores.totals["judge_kappa"].value == pytest.approx(2 / 3)
    assert scores.totals["judge_kappa"].low < 2 / 3 < scores.totals["judge_kappa"].high
    assert scores.items["judged_correct"] == [1.0, 1.0]


def test_a_judge_that_nobody_checked_says_so(answered, evaluate, endpoint):
    scores = judged(answered, evaluate, endpoint(strict), [row(0), row(1)])
    for metric in ("judge_agreement", "judge_kappa"):
        assert "no labels" in scores.unavailable[metric]
    assert "the same" in scores.unavailable["judge_kappa_contained"]


def test_a_verdict_that_does_not_come_counts_as_wrong_and_is_told(answered, evaluate, endpoint):
    def reply(body):
        asked = body["messages"][-1]["content"]
        if "PHP 8.1" in asked:
            return 500
        return "CORRECT or INCORRECT, who knows" if "PHP 8.2" in asked else "correct"

    rows = [row(0), row(1), row(2), row(3, text=None), row(4)]
    scores = judged(answered, evaluate, endpoint(reply), rows)
    assert scores.items["judged_correct"] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert scores.failed == ["q1", "q2", "q3"]
    assert scores.totals["judge_failed"].value == 3.0
    assert any("q1, q2, q3" in line for line in evaluate.context.lines)


def test_an_endpoint_that_is_not_there_is_asked_once(answered, evaluate, endpoint):
    server = endpoint(lambda _: 503)
    with pytest.raises(StepFailed, match="gave no answer") as caught:
        judged(answered, evaluate, server, [row(n) for n in range(20)])
    assert "endpoint" in caught.value.hint
    assert len(server.asked) == 1


def test_a_refusal_midway_stops_it(answered, evaluate, endpoint):
    server = endpoint(lambda body: 401 if "PHP 8.3" in body["messages"][-1]["content"] else "correct")
    with pytest.raises(StepFailed, match="401"):
        judged(answered, evaluate, server, [row(n) for n in range(8)], parallel=1)


def test_the_key_comes_from_the_environment_and_must_be_there(answered, evaluate, endpoint, monkeypatch):
    server = endpoint(strict)
    monkeypatch.setenv("JUDGE_KEY", "secret")
    judged(answered, evaluate, server, [row(0)], key_variable="JUDGE_KEY")
    assert server.headers[0]["Authorization"] == "Bearer secret"
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(StepFailed, match="JUDGE_KEY is empty"):
        judged(answered, evaluate, server, [row(0)], key_variable="JUDGE_KEY")


def test_answers_that_never_came_are_not_sent(answered, evaluate, endpoint):
    server = endpoint(strict)
    scores = judged(answered, evaluate, server, [row(0, text=None)])
    assert server.asked == []
    assert scores.totals["judged_correct"].value == 0.0


@pytest.mark.parametrize("settings", [{"endpoint": "here"}, {"key_variable": "sk-123"}, {"labels": ({"text": "x"},)}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        JudgeScoring(**settings)


def test_it_says_that_it_talks_to_other_machines_and_runs_only_where_it_is_named():
    traits = EvaluateJudge().traits(JudgeScoring())
    assert traits.network
    assert traits.opt_in
    assert not traits.deterministic
