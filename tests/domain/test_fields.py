import pytest
from pydantic import BaseModel, ValidationError

from kistack.domain import fields
from kistack.units import UnitError


class Everything(BaseModel):
    size: fields.Bytes
    wait: fields.Seconds
    share: fields.Share
    daily: fields.PerDay
    speed: fields.PerSecond
    price: fields.Money
    day: fields.Date
    limit: fields.Bytes | None = None


def test_annotated_types_parse_and_dump_text_that_reads_back():
    given_ = {
        "size": "2GiB",
        "wait": "7d",
        "share": "80%",
        "daily": "50/day",
        "speed": "52 GB/s",
        "price": "$3",
        "day": "2024-07-01",
    }
    model = Everything(**given_)
    assert (model.size, model.wait, model.speed) == (2 * 1024**3, 604_800.0, 52e9)
    dumped = model.model_dump(mode="json")
    assert dumped["size"] == "2GiB"
    assert dumped["wait"] == "7d"
    assert dumped["limit"] is None
    assert Everything.model_validate(dumped) == model
    assert "2GiB" in Everything.model_json_schema()["properties"]["size"]["description"]


def test_annotated_types_report_the_unit_error_through_pydantic():
    with pytest.raises(ValidationError) as caught:
        Everything(size="big", wait="1s", share=0, daily=1, speed=1, price=1, day="2024-01-01")
    (problem,) = caught.value.errors()
    assert isinstance(problem["ctx"]["error"], UnitError)
