import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.domain.artifacts import Artifact
from kistack.domain.records import Measurement, SystemScore
from kistack.errors import InputError, StoreError
from kistack.evaluation.scoring import Scores, compare, read_scores, read_system


def artifact(folder, kind="scores", digest="d"):
    return Artifact(kind, "json", folder, digest, key="k")


@pytest.fixture
def folders(tmp_path):
    def make(name, **content):
        folder = tmp_path / name
        folder.mkdir()
        scores = Scores(**content)
        scores.write(folder)
        return artifact(folder)

    return make


@pytest.fixture
def answers(tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "answers.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n\n{"id": "c"}\n')
    return artifact(folder, "answers", "digest-of-answers")


def test_a_mean_carries_its_items_and_interval(tmp_path):
    scores = Scores()
    scores.add_mean("contained", [1.0, 0.0, 1.0, math.nan])
    assert scores.items["contained"] == [1.0, 0.0, 1.0, 0.0]
    total = scores.totals["contained"]
    assert total.value == 0.5
    assert total.low < 0.5 < total.high
    assert total.count == 4


def test_a_total_that_is_not_finite_is_unavailable_with_its_reason():
    scores = Scores()
    scores.add_total("perplexity", (math.inf, 1.0, math.inf))
    assert "perplexity" not in scores.totals
    assert "failed" in scores.unavailable["perplexity"]


def test_systems_are_read_from_several_evaluators(folders, answers):
    first = folders("text", items={"f1": [1.0, 0.5, 0.0]}, totals={"f1": Measurement(0.5, 0.1, 0.9, "", 3)})
    second = folders(
        "speed", totals={"latency_p50": Measurement(1.2, 1.0, 1.5, "s", 20)}, unavailable={"mrr": "no passages"}
    )
    system = read_system("baseline", [first, second], answers)
    assert system.name == "baseline"
    assert system.metrics["latency_p50"].unit == "s"
    assert system.items["f1"] == (1.0, 0.5, 0.0)
    assert system.unavailable == {"mrr": "no passages"}
    assert system.answers == "digest-of-answers"


def test_items_without_a_total_get_their_mean(folders, answers):
    given_only = folders("own", items={"polite": [1.0, 1.0, 0.0]})
    assert read_system("x", [given_only], answers).metrics["polite"].value == pytest.approx(2 / 3)


def test_a_metric_that_another_evaluator_knows_is_available(folders):
    lacking = folders("a", unavailable={"perplexity": "no logits"})
    giving = folders("b", totals={"perplexity": Measurement(9.0, 8.0, 10.0)})
    assert read_system("x", [lacking, giving]).unavailable == {}


def test_two_evaluators_with_one_metric_are_refused(folders):
    one, two = (folders(n, totals={"f1": Measurement(0.5, 0.4, 0.6)}) for n in ("one", "two"))
    with pytest.raises(InputError, match="two evaluators give the metric 'f1'"):
        read_system("x", [one, two])


def test_scores_of_other_answers_are_noticed(folders, answers):
    short = folders("short", items={"f1": [1.0, 0.0]})
    with pytest.raises(StoreError, match="2 items where 3 were answered"):
        read_system("x", [short], answers)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"items": {"f1": ["x"]}}', '{"totals": {"f1": {"value": 1}}}'])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(StoreError, match=r"scores\.json") as caught:
        read_scores(tmp_path)
    assert caught.value.hint


def test_missing_files_are_named(tmp_path, folders):
    with pytest.raises(StoreError, match=r"scores\.json"):
        read_scores(tmp_path)
    with pytest.raises(StoreError, match=r"answers\.jsonl"):
        read_system("x", [folders("a")], artifact(tmp_path, "answers"))


def test_a_null_item_is_a_failed_one(tmp_path):
    (tmp_path / "scores.json").write_text(json.dumps({"items": {"f1": [1.0, None]}}))
    assert read_system("x", [artifact(tmp_path)]).items["f1"] == (1.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.floats(0, 1), min_size=1, max_size=6), max_size=3),
    st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=3),
    st.lists(st.text(max_size=5), max_size=3),
)
def test_what_is_written_reads_back(tmp_path_factory, items, unavailable, failed):
    scores = Scores(unavailable=unavailable, failed=failed)
    for metric, values in items.items():
        scores.add_mean(metric, values)
    folder = tmp_path_factory.mktemp("scores")
    size = scores.write(folder)
    assert size == (folder / "scores.json").stat().st_size
    assert read_scores(folder) == scores


def system(name, **items):
    return SystemScore(name, items={m: tuple(v) for m, v in items.items()}, unavailable={"mrr": "no passages"})


def test_two_systems_are_compared_item_by_item():
    result = compare(system("a", f1=[1, 1, 0, 1]), system("b", f1=[0, 1, 0, 0]), "f1")
    assert (result.wins, result.losses, result.ties) == (2, 0, 2)
    assert result.mean == 0.5


def test_less_perplexity_is_a_win():
    result = compare(system("a", perplexity=[2.0, 9.0]), system("b", perplexity=[3.0, 8.0]), "perplexity")
    assert (result.wins, result.losses) == (1, 1)
    better = compare(system("a", perplexity=[2.0]), system("b", perplexity=[3.0]), "perplexity")
    assert better.wins == 1


def test_a_metric_without_items_cannot_be_compared_and_the_others_are_named():
    with pytest.raises(InputError, match="no passages") as caught:
        compare(system("a", f1=[1], em=[1]), system("b", f1=[1]), "mrr")
    assert caught.value.hint == "compare by one of: f1"
    with pytest.raises(InputError, match="no number per item"):
        compare(system("a", f1=[1]), system("b"), "f1")


# --- failures


def test_a_failed_item_is_the_worst_there_is_whichever_way_the_metric_runs():
    scores = Scores()
    scores.add_mean("contained", [1.0, math.nan])
    scores.add_mean("hallucination_rate", [0.0, math.nan])
    assert scores.items == {"contained": [1.0, 0.0], "hallucination_rate": [0.0, 1.0]}
    assert scores.totals["hallucination_rate"].value == 0.5


def test_a_metric_without_a_worst_value_has_no_number_once_an_item_failed():
    scores = Scores()
    scores.add_mean("log_likelihood", [-3.0, math.nan])
    assert scores.totals == scores.items == {}
    assert "1 of 2 items failed" in scores.unavailable["log_likelihood"]


def test_numbers_that_another_evaluator_left_out_are_filled_alike(tmp_path):
    text = '{"items": {"hallucination_rate": [0.0, null], "perplexity": [3.0, null]}, "totals": {}}'
    (tmp_path / "scores.json").write_text(text)
    system = read_system("plan", [artifact(tmp_path)])
    assert system.items == {"hallucination_rate": (0.0, 1.0)}
    assert system.metrics["hallucination_rate"].value == 0.5
    assert "perplexity" in system.unavailable


def test_a_mean_of_some_items_has_no_numbers_per_item():
    scores = Scores()
    scores.add_part("answer_rate", [1.0, 0.0, 1.0], "")
    scores.add_part("abstention_recall", [], "no item is unanswerable")
    assert scores.totals["answer_rate"].count == 3
    assert scores.items == {}
    assert scores.unavailable == {"abstention_recall": "no item is unanswerable"}
