"""Pairs: every mistake at once with file and line; artifacts that any trainer reads."""

import datetime as dt
import json

import pytest

from kistack.domain.prompt import PromptTemplate, template_of
from kistack.errors import DataError, InvalidInput
from kistack.profiling.pairs import (
    ABSTENTION,
    InvalidPairs,
    Pair,
    identity,
    pair_facts,
    question_key,
    read_pairs,
    write_pairs,
)


def write(folder, text, name="pairs.jsonl"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines(tmp_path):
    rows = [
        {
            "question": " What? ",
            "answer": "this",
            "gold": "a.md",
            "entity": "A",
            "date": "2024-07-01",
            "split": "held-out",
        },
        {"id": 7, "question": "Which?", "answers": ["x", "y", "x"], "gold": ["a.md", "b.md"], "other": 1},
        {"question": "How many?", "answer": 3},
    ]
    first, second, third = read_pairs([write(tmp_path, "\n".join(map(json.dumps, rows)) + "\n\n")])
    assert (first.question, first.answers, first.gold, first.group) == ("What?", ("this",), ("a.md",), "A")
    assert (first.date, first.split, first.where) == (dt.date(2024, 7, 1), "test", "pairs.jsonl:1")
    assert (second.id, second.answers, second.gold) == ("7", ("x", "y"), ("a.md", "b.md"))
    assert third.answers == ("3",)
    assert third.id.startswith("q")


def test_csv(tmp_path):
    text = 'Question,answers,gold,split\n"What, then?",x|y,a.md|b.md,train\n"Two\nlines?",z,,test\n'
    first, second = read_pairs([write(tmp_path, text, "pairs.csv")])
    assert (first.question, first.answers, first.gold) == ("What, then?", ("x", "y"), ("a.md", "b.md"))
    assert (second.split, second.where) == ("test", "pairs.csv:4")


def test_every_mistake_of_all_files_is_reported_at_once(tmp_path):
    first = write(
        tmp_path,
        '{"question": "A?", "answer": "x"}\n'
        "{bad json\n"
        "[1, 2]\n"
        '{"anwser": "x"}\n'
        '{"question": "B?"}\n'
        '{"question": "C?", "answers": []}\n'
        '{"question": "a ?", "answer": "y"}\n'
        '{"question": "D?", "answer": "x", "split": "dev"}\n'
        '{"question": "E?", "answer": "x", "date": "soon"}\n'
        '{"question": "F?", "answer": {"text": "x"}}\n'
        '{"id": "1", "question": "G?", "answer": "x"}\n'
        '{"id": "1", "question": "H?", "answer": "x"}\n',
    )
    second = write(tmp_path, "question,answer\nI?,x,extra\nA?,z\n", "more.csv")
    with pytest.raises(InvalidPairs) as caught:
        read_pairs([first, second])
    assert isinstance(caught.value, DataError)
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.exit_code == 2
    found = {p.where: p.message for p in caught.value.problems}
    assert all(p.hint for p in caught.value.problems)
    expected = {
        "pairs.jsonl:2": "not JSON: Expecting property name enclosed in double quotes (column 2)",
        "pairs.jsonl:3": "not an object",
        "pairs.jsonl:4": "no question (found: anwser)",
        "pairs.jsonl:5": "no answer to 'B?'",
        "pairs.jsonl:6": "no answer to 'C?'",
        "pairs.jsonl:7": "duplicate question 'a ?' (first at pairs.jsonl:1)",
        "pairs.jsonl:8": "split 'dev'",
        "pairs.jsonl:9": "'soon' is not a date",
        "pairs.jsonl:10": "is no text",
        "pairs.jsonl:12": "the id '1' stands twice (first at pairs.jsonl:11)",
        "more.csv:2": "more cells",
        "more.csv:3": "duplicate question 'A?' (first at pairs.jsonl:1)",
    }
    assert found.keys() == expected.keys()
    for where, message in expected.items():
        assert message in found[where]


def test_a_flood_of_mistakes_is_counted(tmp_path):
    with pytest.raises(InvalidPairs, match="and 150 more problems"):
        read_pairs([write(tmp_path, "{}\n" * 200)])


def test_the_same_question_at_two_dates_is_no_duplicate(tmp_path):
    rows = [{"question": "Latest?", "answer": a, "date": d} for a, d in (("1", "2023-01-01"), ("2", "2024-01-01"))]
    pairs = read_pairs([write(tmp_path, "\n".join(map(json.dumps, rows)))])
    assert len({p.id for p in pairs}) == 2


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [("What is  it?", "what is it", True), ("the 3+?", "the 3?", False), ("v1.2", "v12", False)],
)
def test_what_counts_as_the_same_question(first, second, equal):
    assert (question_key(first) == question_key(second)) == equal


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.xlsx", b"x", "neither JSONL nor CSV"),
        ("p.jsonl", b"\xff\xfe", "not UTF-8"),
        ("p.jsonl", b"\n\n", "holds no pairs"),
        ("p.csv", b"question,answer\n", "holds no pairs"),
        ("p.csv", b'question,answer\n"x', "not CSV"),
        ("p.jsonl", b'\n{"question": "a\x00?", "answer": "b"}\n', r"p\.jsonl:2: a NUL byte"),
        ("p.csv", b"question,answer\na\x00,b\n", r"p\.csv:2: a NUL byte"),
    ],
)
def test_files_that_hold_no_pairs(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_pairs([tmp_path / name])
    if "holds no pairs" in message:
        assert ("names the columns" in caught.value.hint) == name.endswith(".csv")


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nope\.jsonl"):
        read_pairs([tmp_path / "nope.jsonl"])


def test_the_artifact_carries_pairs_wording_and_facts(tmp_path):
    pairs = [Pair("1", "What is it?", ("a thing", "it"), ("d",), "g", dt.date(2024, 7, 1)), Pair("2", "And?", ("no",))]
    template = PromptTemplate(system="", bare="Q: {question}")
    facts = write_pairs(pairs, tmp_path, template)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert rows[0] == {
        "id": "1",
        "question": "What is it?",
        "answers": ["a thing", "it"],
        "gold": ["d"],
        "group": "g",
        "date": "2024-07-01",
    }
    assert template_of(tmp_path) == template
    assert facts == pair_facts(pairs, template)
    assert facts["count"] == 2
    assert facts["bytes"] == (tmp_path / "pairs.jsonl").stat().st_size
    assert facts["prompt_tokens"] > facts["answer_tokens"] > 0
    assert facts["tokens"] == pytest.approx(2 * (facts["prompt_tokens"] + facts["answer_tokens"]), abs=1)


def test_the_identity_follows_pairs_and_wording():
    pair = Pair("1", "What?", ("x",))
    base = identity([pair], PromptTemplate())
    assert identity([Pair("1", "What?", ("x",), where="elsewhere:3")], PromptTemplate()) == base
    assert identity([Pair("1", "What?", ("y",))], PromptTemplate()) != base
    assert identity([pair], PromptTemplate(system="")) != base


# --- questions that the documents do not answer


def test_a_question_may_say_that_the_documents_do_not_answer_it(tmp_path):
    rows = [
        {"question": "Who?", "unanswerable": True},
        {"question": "When?", "unanswerable": "yes", "answer": "That is not in our notes."},
        {"question": "What?", "unanswerable": False, "answer": "this"},
    ]
    first, second, third = read_pairs([write(tmp_path, "\n".join(map(json.dumps, rows)))])
    assert first.unanswerable
    assert first.answers == (ABSTENTION,)
    assert second.answers == ("That is not in our notes.",)
    assert not third.unanswerable
    assert first.to_json()["unanswerable"] is True
    assert "unanswerable" not in third.to_json()


def test_a_table_may_say_so_too(tmp_path):
    text = "question,answer,unanswerable\nWho?,,true\nWhat?,this,\n"
    first, second = read_pairs([write(tmp_path, text, "pairs.csv")])
    assert (first.unanswerable, second.unanswerable) == (True, False)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "Who?", "unanswerable": "maybe"}, "unanswerable 'maybe' is not accepted"),
        ({"question": "Who?", "unanswerable": []}, "unanswerable [] is not accepted"),
        ({"question": "Who?", "unanswerable": True, "gold": "a.md"}, "unanswerable, yet gold names 'a.md'"),
        ({"question": "Who?", "unanswerable": False}, "no answer to 'Who?'"),
        ({"question": "Who?", "answer": "x", "split": []}, "split [] is not accepted"),
    ],
)
def test_what_contradicts_itself_is_told_with_a_remedy(tmp_path, row, said):
    with pytest.raises(InvalidPairs) as caught:
        read_pairs([write(tmp_path, json.dumps(row))])
    [problem] = [p for p in caught.value.problems if said in p.message]
    assert problem.hint


def test_that_a_question_has_no_answer_is_part_of_what_the_pairs_are():
    one, two = Pair("1", "q", (ABSTENTION,)), Pair("1", "q", (ABSTENTION,), unanswerable=True)
    assert identity([one], PromptTemplate()) != identity([two], PromptTemplate())
