import json

import pytest
from kistack_torch.examples import Pair, encode_pairs, hold_out, read_pairs, uses_passages

from kistack.domain.prompt import Passage
from kistack.errors import DataError

PASSAGE = Passage("p1", "It is 3.1.", "d1", "T", 0.5)


def _write(folder, rows):
    (folder / "pairs.jsonl").write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")


def test_pairs_are_read_in_order(tmp_path):
    _write(
        tmp_path,
        [
            {"id": "1", "question": "q", "answers": ["a", "b"], "gold": [], "group": "g", "date": None},
            "",
            {
                "id": 2,
                "question": "r",
                "answers": [" ", "c"],
                "passages": [{"id": "p1", "text": "It is 3.1.", "document": "d1", "title": "T", "score": 0.5}],
            },
        ],
    )
    assert read_pairs(tmp_path) == [Pair("1", "q", "a", "g"), Pair("2", "r", "c", "", (PASSAGE,))]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not a pair"),
        ("[1]", "not a pair"),
        ({"id": "1", "question": "q"}, "'answers'"),
        ({"id": "1", "question": "q", "answers": [""]}, "at least one answer"),
        ({"id": "1", "question": " ", "answers": ["a"]}, "needs a question"),
        ({"id": "1", "question": "q", "answers": ["a"], "passages": [{"text": "t"}]}, "'id'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, row, message):
    _write(tmp_path, [{"id": "0", "question": "q", "answers": ["a"]}, row])
    with pytest.raises(DataError, match=message) as caught:
        read_pairs(tmp_path)
    assert "pairs.jsonl:2" in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"pairs\.jsonl"):
        read_pairs(tmp_path)


def test_when_passages_are_shown():
    bare, rich = Pair("1", "q", "a"), Pair("2", "q", "a", "", (PASSAGE,))
    assert uses_passages([bare, rich], "auto")
    assert not uses_passages([bare], "auto")
    assert not uses_passages([rich], "never")
    assert uses_passages([rich], "require")
    with pytest.raises(DataError, match="1 of 2 pairs carry no passages"):
        uses_passages([bare, rich], "require")


def _spell(messages, answer):
    text = "".join(m["content"] for m in messages)
    return [*map(ord, text), *map(ord, answer)], len(text)


def test_prompts_hold_the_passages_only_when_asked():
    rich = Pair("2", "who?", "me", "g", (PASSAGE,))
    (with_them,), _ = encode_pairs([rich], _spell, with_passages=True, max_length=10_000)
    (without,), _ = encode_pairs([rich], _spell, with_passages=False, max_length=10_000)
    assert "It is 3.1." in "".join(map(chr, with_them.ids))
    assert "It is 3.1." not in "".join(map(chr, without.ids))
    assert "".join(map(chr, without.ids[without.prompt :])) == "me"
    assert (with_them.id, with_them.group) == ("2", "g")


def test_long_pairs_are_left_out_not_cut():
    pairs = [Pair(str(i), "q" * (10 if i else 5000), "a") for i in range(4)]
    examples, left_out = encode_pairs(pairs, _spell, with_passages=False, max_length=500)
    assert [e.id for e in examples] == ["1", "2", "3"]
    assert left_out == 1
    with pytest.raises(DataError, match="max_length = 20"):
        encode_pairs(pairs, _spell, with_passages=False, max_length=20)


def test_no_entity_is_on_both_sides():
    pairs = [Pair(str(i), "q", "a", f"g{i % 30}") for i in range(120)]
    learn, judge = hold_out(pairs, 0.1, seed=1)
    assert sorted(learn + judge) == list(range(120))
    assert 12 <= len(judge) <= 24
    assert not {pairs[i].group for i in learn} & {pairs[i].group for i in judge}
    assert hold_out(pairs, 0.1, seed=1) == (learn, judge)
    assert hold_out(pairs, 0.1, seed=2) != (learn, judge)


def test_one_entity_is_split_by_pairs():
    learn, judge = hold_out([Pair(str(i), "q", "a", "same") for i in range(40)], 0.1, seed=0)
    assert len(judge) == 8
    assert len(learn) == 32


def test_the_held_out_side_stays_small():
    learn, judge = hold_out([Pair(str(i), "q", "a") for i in range(5000)], 0.1, seed=0)
    assert len(judge) == 48
    assert len(learn) == 4952
