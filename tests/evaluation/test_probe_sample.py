import json

import hypothesis
from hypothesis import strategies as st

from kistack.domain.prompt import PromptTemplate, template_of
from kistack.evaluation.probe_sample import (
    PASSAGE_WORDS,
    bare_questions,
    found,
    gold_passage,
    gold_questions,
    holds,
    sampled,
)
from kistack.profiling.corpus import Corpus
from kistack.profiling.documents import Document
from kistack.profiling.pairs import Pair


def pair(n, *, gold=(), answer="1.2"):
    return Pair(f"q{n}", f"What is the release of Product{n}?", (answer,), tuple(gold))


@hypothesis.given(st.permutations(range(30)), st.integers(1, 30), st.integers(1, 30))
def test_a_sample_depends_on_no_order_and_larger_ones_hold_smaller_ones(order, one, other):
    small, large = sorted((one, other))
    pairs = [pair(n) for n in order]
    assert sampled(pairs, small) == sampled([pair(n) for n in range(30)], large)[:small]
    assert len(sampled(pairs, small)) == small


def test_the_first_pairs_of_a_file_are_not_the_sample():
    chosen = sampled([pair(n) for n in range(1000)], 100)
    numbers = [int(p.id[1:]) for p in chosen]
    assert min(sum(low <= n < low + 250 for n in numbers) for low in (0, 250, 500, 750)) > 10


def test_all_pairs_are_asked_where_there_are_few():
    assert len(sampled([pair(n) for n in range(3)], 40)) == 3


def test_what_the_documents_do_not_answer_is_not_asked():
    without = Pair("n", "Who?", ("I don't know.",), unanswerable=True)
    assert sampled([without, pair(1)], 40) == (pair(1),)


@hypothesis.given(st.integers(0, 600), st.integers(0, 600))
def test_a_gold_passage_is_short_and_holds_the_answer(before, after):
    text = " ".join(["word"] * before + ["Answer", "Five!"] + ["other"] * after)
    passage = gold_passage(pair(1, answer="answer five"), Document("d", "D", text))
    assert holds(passage.text, ["answer five"])
    assert len(passage.text.split()) <= PASSAGE_WORDS
    assert passage.text in text


def test_of_several_places_the_one_that_speaks_of_the_question_is_taken():
    filler = " filler" * 200
    text = f"Product2 has release 1.2.{filler} The release of Product1 is 1.2.{filler} 1.2 again"
    assert "Product1 is" in gold_passage(pair(1), Document("d", "D", text)).text


def test_a_document_without_words_has_an_empty_passage():
    assert gold_passage(pair(1), Document("d", "D", " \n")).text == ""


def test_only_pairs_that_name_documents_get_gold_passages(tmp_path):
    corpus = Corpus((Document("a.md", "A", "It is 1.2"), Document("b.md", "B", "It was 1.1")))
    pairs = [pair(0, gold=["a.md", "b.md"]), pair(1), pair(2, gold=["lost.md"])]
    questions = gold_questions(pairs, corpus, PromptTemplate(system="be brief"))
    questions.write(tmp_path)
    [row] = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert [p["text"] for p in row["passages"]] == ["It is 1.2", "It was 1.1"]
    assert template_of(tmp_path).system == "be brief"
    assert questions.type.fact("count") == 1
    bare = bare_questions(pairs[:1], PromptTemplate(system="be brief")).type
    assert questions.type.fact("prompt_tokens") > bare.fact("prompt_tokens")
    assert gold_questions(pairs[1:], corpus, PromptTemplate()) is None


def test_questions_are_known_by_their_content_and_wording():
    one = bare_questions([pair(1)], PromptTemplate()).type.identity
    assert one == bare_questions([pair(1)], PromptTemplate()).type.identity
    others = (bare_questions([pair(2)], PromptTemplate()), bare_questions([pair(1)], PromptTemplate(system="x")))
    assert one not in {o.type.identity for o in others}


def test_found_is_the_gold_document_or_an_answer():
    def row(document, text):
        return {"gold": ["a.md"], "answers": ["Version 1.2"], "passages": [{"document": document, "text": text}]}

    assert found(row("a.md", "anything"))
    assert found(row("b.md", "it is VERSION 1-2, they say"))
    assert not found(row("b.md", "it is version 1.20"))
    assert not found({**row("b.md", ""), "passages": []})
