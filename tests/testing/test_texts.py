"""The tiny documents, pairs and answers are what stages of several plugins read."""

import json

import pytest

from kistack.domain.prompt import template_of
from kistack.plugins.builtins import read_jsonl
from kistack.testing.checks.honest import fault_of
from kistack.testing.texts import facts, tiny_answers, tiny_corpus, tiny_items, tiny_pairs


@pytest.mark.parametrize("make", [tiny_corpus, tiny_pairs, tiny_items, tiny_answers])
def test_each_is_what_it_says(make, tmp_path):
    made = make(tmp_path)
    assert fault_of(made) == ""
    [file] = tmp_path.glob("*.jsonl")
    rows = list(read_jsonl(file))
    assert made.fact("count") == len(rows)
    assert made.fact("bytes") == file.stat().st_size
    file.write_text(file.read_text() + '{"id": "torn"}\n')
    assert "has no" in fault_of(made)


def test_pairs_with_passages_hold_the_answer_and_those_without_hold_none(tmp_path):
    for name, passages in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        made = tiny_pairs(tmp_path / name, passages=passages)
        rows = list(read_jsonl(made.path / "pairs.jsonl"))
        assert all((r["answers"][0] in r["passages"][0]["text"]) if passages else "passages" not in r for r in rows)
        assert fault_of(made) == ""
    assert template_of(tmp_path / "a").bare


def test_every_place_has_one_colour_and_some_answers_fail(tmp_path):
    assert len({place for place, _ in facts()}) == len(facts()) == 40
    made = tiny_answers(tmp_path)
    told = [r["text"] for r in read_jsonl(made.path / "answers.jsonl")]
    assert "" in told
    assert len(json.loads((tmp_path / "speed.json").read_text())["latency_seconds"]) == len(told)
