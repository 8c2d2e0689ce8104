import pytest
from haystack import Document
from hypothesis import given
from hypothesis import strategies as st
from kistack_haystack.components.passages import PassageNamer, shown, told


def piece(text, source="d", start=0, title="Castle"):
    meta = {"title": title, "date": "2027-10-31", "part": "p", "source_id": source, "split_idx_start": start}
    return Document(content=text, meta={**meta, "page_number": 1, "split_id": 0})


def named(*pieces, title="search"):
    return PassageNamer(title).run(list(pieces))["documents"]


def test_passages_are_called_after_their_document():
    found = named(piece("one"), piece("two", start=4), piece("three", "e"), piece("four", start=9))
    assert [d.id for d in found] == ["d", "d#1", "e", "d#2"]
    assert [d.meta["position"] for d in found] == [0, 1, 0, 2]
    assert found[1].meta == {
        "document": "d",
        "title": "Castle",
        "date": "2027-10-31",
        "part": "p",
        "position": 1,
        "start": 4,
        "shown_from": 7,
    }


def test_a_document_that_is_called_like_the_passage_of_another_keeps_its_name():
    found = named(piece("one"), piece("two"), piece("three", "d#1"))
    assert [d.id for d in found] == ["d", "d#1+", "d#1"]
    assert [d.meta["document"] for d in found] == ["d", "d", "d#1"]


def test_blanks_around_a_piece_are_cut_and_pieces_without_text_left_out():
    found = named(piece("\n\n one \n", start=10), piece("  \n", start=20), piece("two", start=30))
    assert [(shown(d), d.meta["start"], d.meta["position"]) for d in found] == [("one", 13, 0), ("two", 30, 1)]


@pytest.mark.parametrize(
    ("title", "searched", "read"),
    [
        ("none", "The king.", "The king."),
        ("search", "Castle\nThe king.", "The king."),
        ("text", "Castle\nThe king.", "Castle\nThe king."),
    ],
)
def test_the_title_goes_where_the_setting_says(title, searched, read):
    [found] = named(piece("The king."), title=title)
    assert (found.content, shown(found)) == (searched, read)


def test_a_title_that_the_text_names_is_not_repeated():
    assert [d.content for d in named(piece("The CASTLE."), piece("The king.", title=""))] == [
        "The CASTLE.",
        "The king.",
    ]


def test_a_found_document_is_told_as_a_passage():
    [document] = named(piece("The king."))
    passage = told(document)
    assert (passage.id, passage.document, passage.title, passage.text) == ("d", "d", "Castle", "The king.")
    assert passage.score == 0.0


@given(st.lists(st.tuples(st.sampled_from(["d", "d#1", "d#1+", "e"]), st.text("ab \n", max_size=6)), max_size=12))
def test_no_two_passages_share_a_name_and_no_text_is_lost(pieces):
    found = named(*(piece(text, source) for source, text in pieces))
    assert len({d.id for d in found}) == len(found)
    assert [shown(d) for d in found] == [text.strip() for _, text in pieces if text.strip()]
    for source in {s for s, text in pieces if text.strip()}:
        assert next(d.id for d in found if d.meta["document"] == source) == source
