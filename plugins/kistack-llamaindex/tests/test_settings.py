import pytest
from kistack_llamaindex.settings import RetrieverSettings
from pydantic import ValidationError


def test_every_setting_is_described():
    assert all(field.description for field in RetrieverSettings.model_fields.values())


@pytest.mark.parametrize(
    "wrong", [{"top_k": 0}, {"chunk_tokens": 8}, {"overlap": 256}, {"title": "both"}, {"batch": 0}, {"top": 3}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        RetrieverSettings(**wrong)


def test_settings_round_trip():
    settings = RetrieverSettings(top_k=5, title="text")
    assert RetrieverSettings.model_validate(settings.model_dump()) == settings
