import re

import pytest

from kistack.demo.documents import documents_as_of
from kistack.demo.pairs import REAL_QUESTIONS, TEST_PAIRS, TRAIN_PAIRS, accepted_answers, pairs_as_of, split_of
from kistack.demo.releases import DATES, KINDS, LATEST, facts_as_of, load_table
from kistack.demo.wordings import TEST_QUESTIONS, TRAIN_QUESTIONS

TITLES = {row.product: row.title for row in load_table()}


def side(split, day=LATEST):
    return [pair for pair in pairs_as_of(day) if pair.split == split]


def wording_of(pair):
    """The question with product and numbers taken out."""
    return re.sub(r"\d+(\.\d+)*", "", pair.question.replace(TITLES[pair.group], ""))


def test_there_are_as_many_pairs_as_promised():
    assert len(side("train")) == TRAIN_PAIRS >= 200
    assert len(side("test")) == TEST_PAIRS >= 150


def test_train_and_test_share_no_product_and_no_wording():
    train, test = side("train"), side("test")
    assert not {p.group for p in train} & {p.group for p in test}
    assert not {wording_of(p) for p in train} & {wording_of(p) for p in test}
    told = " ".join(p.question for p in train)
    assert not [p.group for p in test if re.search(rf"(?<!\w){re.escape(TITLES[p.group])}(?!\w)", told)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_kind_is_asked_in_every_wording(split):
    wordings = TRAIN_QUESTIONS if split == "train" else TEST_QUESTIONS
    pairs = side(split)
    for kind in KINDS:
        asked = {wording_of(p) for p in pairs if p.gold[0].endswith(kind.replace("_", "-"))}
        assert asked == {w.format(title="", cycle="") for w in wordings[kind]}


def test_gold_documents_exist_and_hold_the_answer():
    texts = {d.id: d.text for group in documents_as_of(LATEST).values() for d in group}
    for pair in pairs_as_of():
        assert pair.answers[0] in texts[pair.gold[0]]
        assert pair.gold[0].split("/")[0] == pair.group
        assert TITLES[pair.group] in pair.question


def test_no_question_holds_its_answer_and_no_two_are_alike():
    pairs = pairs_as_of()
    for pair in pairs:
        assert pair.answers[0] not in re.findall(r"[\w.]*\w", pair.question)
    assert len({p.question for p in pairs}) == len(pairs) == len({p.id for p in pairs})


def test_only_the_same_day_in_words_is_accepted_beside_a_date():
    facts = {f.id: f for f in facts_as_of(LATEST)}
    assert accepted_answers(facts["python/3.12/end-of-life"]) == ("2028-10-31", "31 October 2028", "October 31, 2028")
    assert accepted_answers(facts["python/3.12/latest-patch"]) == (facts["python/3.12/latest-patch"].value,)


@pytest.mark.parametrize("day", DATES)
def test_answers_are_those_of_the_date_and_sides_never_move(day):
    values = {f.id: f.value for f in facts_as_of(day)}
    pairs = pairs_as_of(day)
    assert {p.split for p in pairs} == {"train", "test"}
    for pair in pairs:
        assert pair.answers[0] == values[pair.gold[0]]
        assert pair.split == split_of(pair.group)
        assert pair.date <= day


def test_fewer_pairs_spread_over_all_products():
    everyone = {p.group for p in side("test")}
    few = [p for p in pairs_as_of(train=0, test=len(everyone)) if p.split == "test"]
    assert len(few) == len(everyone)
    assert {p.group for p in few} == everyone
    assert {p.id for p in few} <= {p.id for p in side("test")}


def test_any_beginning_of_the_held_out_pairs_is_mixed():
    beginning = side("test")[:60]
    assert len({p.group for p in beginning}) >= 25
    assert {p.gold[0].split("/")[-1] for p in beginning} == {k.replace("_", "-") for k in KINDS}


def test_real_questions_are_about_products_held_out():
    held_out = {TITLES[p.group]: p.group for p in side("test")}
    for question in REAL_QUESTIONS:
        assert any(title in question for title in held_out)
        assert question not in {p.question for p in pairs_as_of()}
    assert len(set(REAL_QUESTIONS)) == 3
