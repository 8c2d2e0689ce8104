"""Every stage of this plugin keeps the contract, through the door that is open to everyone."""

import pytest

from kistack.testing import check_stage, stages_of

pytestmark = pytest.mark.system

EXPECTED = {
    # auto is a rule for each pair here (shown where there are any), not a value that could be decided beforehand.
    "distill/response": {"resolves": "passages: auto stays a rule, applied to each pair"},
    "signals/topk": {"resolves": "passages: auto stays a rule, applied to each pair"},
}


@pytest.mark.parametrize("stage", stages_of("kistack-distill"))
def test_it_keeps_the_contract(stage):
    check_stage(stage, expected=EXPECTED.get(stage))
