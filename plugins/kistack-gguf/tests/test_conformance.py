"""Every stage of this plugin keeps the contract, through the door that is open to everyone."""

import pytest

from kistack.testing import check_stage, stages_of

pytestmark = pytest.mark.system


@pytest.mark.parametrize("stage", stages_of("kistack-gguf"))
def test_it_keeps_the_contract(stage):
    check_stage(stage)
