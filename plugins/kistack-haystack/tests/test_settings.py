import pytest
from kistack_haystack.settings import RetrieverSettings
from pydantic import ValidationError


def test_every_setting_is_described():
    assert all(field.description for field in RetrieverSettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "dense"},
        {"top_k": 0},
        {"split_by": "sentence"},
        {"split_length": 0},
        {"split_overlap": 150},
        {"split_length": 10, "split_overlap": 10},
        {"title": "embedding"},
        {"bm25_algorithm": "BM25"},
        {"bm25_b": 1.1},
        {"bm25_weight": -0.1},
        {"candidates": 0},
        {"batch": 0},
        {"top": 3},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        RetrieverSettings(**wrong)


def test_settings_round_trip():
    settings = RetrieverSettings(method="hybrid", top_k=5, title="text", bm25_weight=0.3)
    assert RetrieverSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("method", "embeds", "counts"), [("bm25", False, True), ("embedding", True, False), ("hybrid", True, True)]
)
def test_what_a_method_looks_at(method, embeds, counts):
    settings = RetrieverSettings(method=method)
    assert (settings.embeds, settings.counts_words) == (embeds, counts)
