"""Held-out pairs share no document or group with training pairs, and the choice never wavers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.domain.facts import Fact
from kistack.domain.prompt import PromptTemplate
from kistack.domain.scenario import Scenario, Split
from kistack.errors import DataError
from kistack.profiling.corpus import Corpus
from kistack.profiling.documents import Document
from kistack.profiling.pairs import InvalidPairs, Pair
from kistack.profiling.splits import PairSplit, answers_in_corpus, load_pairs, reworded, split_facts, split_pairs

some = st.lists(
    st.tuples(st.frozensets(st.sampled_from("abcdefgh"), max_size=2), st.sampled_from(["", *"uvwxyz"])),
    min_size=2,
    max_size=40,
)


def make(rows):
    return [Pair(str(n), f"question {n}", ("x",), tuple(sorted(g)), group) for n, (g, group) in enumerate(rows)]


@settings(deadline=None)
@given(some, st.floats(0.05, 0.95))
def test_document_splits_never_leak(rows, share):
    pairs = make(rows)
    try:
        split = split_pairs(pairs, Split(test=share, by="document"))
    except DataError as error:
        assert "only one" in error.message if len(pairs) == 1 else f"tie all {len(pairs)} together" in error.message
        return
    assert sorted(p.id for p in split.train + split.test) == sorted(p.id for p in pairs)
    assert split.train
    assert split.test
    assert split.leakage == 0
    assert not {g for p in split.train for g in p.gold} & {g for p in split.test for g in p.gold}
    assert not {p.group for p in split.train if p.group} & {p.group for p in split.test if p.group}


@settings(deadline=None)
@given(some, st.randoms())
def test_the_order_of_pairs_does_not_matter(rows, random):
    pairs = make(rows)
    mixed = list(pairs)
    random.shuffle(mixed)
    first, second = (split_pairs(p, Split(test=0.3)) for p in (pairs, mixed))
    assert {p.id for p in first.test} == {p.id for p in second.test}


def test_the_share_is_met_where_pairs_are_single():
    split = split_pairs([Pair(str(n), f"q{n}", ("x",)) for n in range(200)], Split(test=0.25))
    assert (len(split.train), len(split.test)) == (150, 50)
    assert split.by == "document"


def test_entity_splits_follow_groups_and_say_what_leaks():
    pairs = [Pair(str(n), f"q{n}", ("x",), ("one.md",), f"g{n % 10}") for n in range(100)]
    split = split_pairs(pairs, Split(test=0.3, by="entity"))
    assert len(split.test) == 30
    assert not {p.group for p in split.train} & {p.group for p in split.test}
    assert split.leakage == 1.0, "they share the one document"


def test_auto_falls_back_to_groups_then_questions_when_one_document_holds_all():
    grouped = [Pair(str(n), f"q{n}", ("x",), ("one.md",), f"g{n % 10}") for n in range(100)]
    assert split_pairs(grouped, Split()).by == "entity"
    bare = [Pair(str(n), f"q{n}", ("x",), ("one.md",)) for n in range(100)]
    split = split_pairs(bare, Split())
    assert split.by == "question"
    assert len(split.test) == 30


def test_one_pair_cannot_be_split():
    with pytest.raises(DataError, match="no pair can be held out: there is only one") as caught:
        split_pairs([Pair("1", "q", ("x",))], Split())
    assert "at least two" in caught.value.hint


@pytest.mark.parametrize(("by", "shared"), [("document", "documents or groups"), ("entity", "groups")])
def test_pairs_that_share_everything_are_told_what_ties_them(by, shared):
    pairs = [Pair(str(n), f"q{n}", ("x",), gold=("d",), group="g") for n in range(3)]
    with pytest.raises(DataError, match=f"the {shared} that they share tie all 3 together") as caught:
        split_pairs(pairs, Split(by=by))
    assert "declare a split" in caught.value.hint


def test_declared_splits_are_followed():
    pairs = [Pair("1", "a", ("x",), split="train"), Pair("2", "b", ("x",), split="test")]
    split = split_pairs(pairs, Split())
    assert (split.by, [p.id for p in split.test]) == ("declared", ["2"])


def test_declared_splits_must_be_whole_and_hold_something_out():
    pairs = [Pair("1", "a", ("x",), split="train", where="p.jsonl:1"), Pair("2", "b", ("x",), where="p.jsonl:2")]
    with pytest.raises(InvalidPairs, match=r"p\.jsonl:2: no split"):
        split_pairs(pairs, Split())
    with pytest.raises(DataError, match="every pair says split train"):
        split_pairs(pairs[:1], Split(by="declared"))


def test_a_scenario_without_pairs_has_none():
    scenario = Scenario.model_validate({"name": "x", "models": {"base": "hub:a/b"}})
    split = load_pairs(scenario)
    assert not split.train
    assert not split.test
    facts = split_facts(split, scenario.template)
    assert facts["pairs.train"] == Fact(0, "", "measured", "the scenario names no pairs")


def test_answers_are_looked_for_in_gold_documents_as_whole_words():
    corpus = Corpus((Document("a", "A", "The version is 7.0.72, released."), Document("b", "B", "Nothing of note 2.")))
    pairs = [
        Pair("1", "q1", ("7.0.72",), ("a",)),
        Pair("2", "q2", ("7.0.72",), ("b",)),
        Pair("3", "q3", ("70", "7.0"), ()),
        Pair("4", "q4", ("9.9", "the VERSION"), ()),
        Pair("5", "q5", ("0.7",), ("unknown",)),
    ]
    assert answers_in_corpus(pairs, corpus) == (0.6, 5)


def test_what_the_documents_do_not_answer_is_not_looked_for_in_them():
    corpus = Corpus((Document("a", "A", "The version is 7.0.72."),))
    pairs = [Pair("1", "q1", ("7.0.72",), ("a",)), Pair("2", "q2", ("I don't know.",), unanswerable=True)]
    assert answers_in_corpus(pairs, corpus) == (1.0, 1)
    facts = split_facts(PairSplit((pairs[0],), (pairs[1],)), PromptTemplate(), corpus)
    assert facts["pairs.unanswerable"].value == 1
    assert facts["pairs.distinct_answers"].value == 1
    alone = split_facts(PairSplit((), (pairs[1],)), PromptTemplate(), corpus)
    assert alone["pairs.answers_in_corpus"].value == 0


def test_facts_of_pairs():
    corpus = Corpus((Document("a", "A", "yes"),))
    pairs = [Pair(str(n), f"is it {n}?", ("yes",), ("a",) if n else ("z",), f"g{n}") for n in range(10)]
    facts = split_facts(split_pairs(pairs, Split(by="entity")), PromptTemplate(), corpus)
    assert facts["pairs.train"].value + facts["pairs.test"].value == 10
    assert facts["pairs.question_words"].value == 3
    assert facts["pairs.answer_words"].value == 1
    assert facts["pairs.answers_in_corpus"].value == 1
    assert facts["pairs.gold_unknown"].value == 1
    assert "'z'" in facts["pairs.gold_unknown"].why
    assert facts["pairs.identity"].value != facts["items.identity"].value
    assert all(f.source == "measured" and f.why for f in facts.values())


def asked(*questions):
    return tuple(Pair(f"{n}{q}", q, ("x",)) for n, q in enumerate(questions))


def test_held_out_questions_in_nearly_the_same_words_are_told():
    train = asked(
        "Until when is the long term release of Python 3.12 supported by its makers?",
        "Who wrote the first chapter of the handbook about sailing ships?",
    )
    test = asked(
        "until when is the long term release of Python 3.12 supported by the makers?",
        "Until when is the long term release of Python 3.13 supported by its makers?",
        "What colour has the sea in the evening?",
        "Why?",
    )
    assert reworded(PairSplit(train, test)) == 0.25
    assert reworded(PairSplit(train, ())) == 0


def test_answers_say_what_kind_of_task_it_is():
    rows = [Pair(str(n), f"question {n}", (("yes", "No.", "no")[n % 3],)) for n in range(30)]
    facts = split_facts(split_pairs(rows, Split(test=0.3)), PromptTemplate())
    assert facts["pairs.labels"].value is True
    assert facts["pairs.distinct_answers"].value == 2
    assert facts["pairs.short_answers"].value == 1
    rows = [
        Pair(str(n), f"question {n}", (f"a sentence of more than five words {n}" if n % 2 else f"v{n}",))
        for n in range(30)
    ]
    facts = split_facts(split_pairs(rows, Split(test=0.3)), PromptTemplate())
    assert facts["pairs.labels"].value is False
    assert facts["pairs.short_answers"].value == 0.5
