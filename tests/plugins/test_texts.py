import json

import pytest

from kistack.errors import DataError
from kistack.plugins.texts import read_texts

DOCUMENTS = [
    {"id": "php/8.1", "title": "PHP", "text": "The latest release of PHP 8 1 is 8 1 29.", "date": "2027-10-31"},
    {"id": "php/8.2", "title": "PHP", "text": "Support for PHP ends on may 31.", "date": None, "part": "dates"},
    {"id": "empty", "title": "Nothing", "text": "  \n"},
]


def test_documents_without_text_are_left_out_and_counted(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    texts, empty = read_texts(tmp_path)
    assert [t.id for t in texts] == ["php/8.1", "php/8.2"]
    assert empty == 1
    assert (texts[0].title, texts[0].date, texts[1].date, texts[1].part) == ("PHP", "2027-10-31", "", "dates")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", "no document has any text"),
        ('{"id": "a", "text": " "}\n', "no document has any text"),
        ("{\n", "cannot be read"),
        ('{"id": "a", "text": "x"}\n\n{"id": "a", "text": "y"}\n', ":3: the document id 'a' is already that of line 1"),
        ('{"id": "a"}\n', ":1: not a document"),
        ("[1]\n", ":1: not a document"),
        ("\xff", "cannot be read"),
    ],
)
def test_what_is_no_corpus_is_named(tmp_path, content, named):
    (tmp_path / "corpus.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=named) as caught:
        read_texts(tmp_path)
    assert caught.value.hint


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"corpus\.jsonl"):
        read_texts(tmp_path)
