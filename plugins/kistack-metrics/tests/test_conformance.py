"""Every evaluator keeps the contract, through the door that is open to everyone."""

import pytest

from kistack.testing import check_stage, stages_of

pytestmark = pytest.mark.system


@pytest.mark.parametrize("stage", stages_of("kistack-metrics"))
def test_it_keeps_the_contract(stage, endpoint):
    settings = {
        "evaluate/format": {"pattern": ".*"},
        "evaluate/judge": {"endpoint": endpoint(lambda _: "yes").url},
    }
    expected = {
        "evaluate/speed": {"failure-told": "answers without timings have no speed: every metric says so as its reason"}
    }
    check_stage(stage, settings=settings.get(stage), expected=expected.get(stage))
