import re
from itertools import pairwise

import pytest

from kistack.demo.documents import documents_as_of, write_note
from kistack.demo.releases import DATES, LATEST, facts_as_of, freshness_truth


def by_id(day):
    return {d.id: d for group in documents_as_of(day).values() for d in group}


@pytest.mark.parametrize("day", DATES)
def test_one_sentence_per_fact_holds_title_cycle_and_value(day):
    documents = by_id(day)
    facts = facts_as_of(day)
    assert set(documents) == {f.id for f in facts}
    for fact in facts:
        document = documents[fact.id]
        assert document.title == fact.title
        assert document.date == fact.since
        assert re.search(rf"(?<![\w.]){re.escape(fact.value)}(?!\w|\.\w)", document.text)
        assert f"{fact.title} {fact.cycle}".strip() in document.text
        assert document.text.endswith(".")
        assert ". " not in document.text


def test_documents_are_grouped_by_product():
    for product, group in documents_as_of(LATEST).items():
        assert {d.id.split("/")[0] for d in group} == {product}


def test_no_two_documents_say_the_same():
    texts = [d.text for d in by_id(LATEST).values()]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(("first", "second"), list(pairwise(DATES)))
def test_a_document_changes_exactly_when_its_fact_does(first, second):
    before, after = by_id(first), by_id(second)
    truth = freshness_truth(first, second)
    assert sum(before[i].text != after[i].text for i in before.keys() & after.keys()) == truth.changed
    assert len(after.keys() - before.keys()) == truth.added
    assert len(before.keys() - after.keys()) == truth.removed
    assert all(before[i].date == after[i].date for i in before.keys() & after.keys() if before[i].text == after[i].text)


def test_a_product_is_noted_in_one_manner():
    wordings = {}
    for fact in facts_as_of(LATEST):
        text = write_note(fact).replace(fact.value, "VALUE").replace(f" {fact.cycle}", " CYCLE")
        wordings.setdefault((fact.product, fact.kind), set()).add(text)
    assert {len(texts) for texts in wordings.values()} == {1}
    manners = {next(iter(t)).replace(p[0], "") for p, t in wordings.items() if p[1] == "end_of_life"}
    assert len(manners) >= 3
