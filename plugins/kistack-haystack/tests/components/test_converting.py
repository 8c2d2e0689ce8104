import pytest
from kistack_haystack.components.converting import CorpusConverter

from kistack.errors import DataError


def test_documents_keep_their_ids_and_what_is_known_of_them(corpus_in, tmp_path):
    found = CorpusConverter().run(str(corpus_in(tmp_path)))
    assert [d.id for d in found["documents"]] == ["php/8.1", "php/8.2", "django", "king"]
    assert found["empty"] == 1
    first, second = found["documents"][:2]
    assert first.content == "The latest release of PHP 8 1 is 8 1 29."
    assert first.meta == {"title": "PHP", "date": "2027-10-31", "part": ""}
    assert second.meta == {"title": "PHP", "date": "", "part": "dates"}


def test_what_is_no_corpus_is_named(tmp_path):
    with pytest.raises(DataError, match=r"corpus\.jsonl"):
        CorpusConverter().run(str(tmp_path))
