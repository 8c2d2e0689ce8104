"""Every stage of this plugin keeps the contract, through the door that is open to everyone, by each of its methods."""

import pytest

from kistack.testing import check_stage, stages_of

pytestmark = pytest.mark.system


@pytest.mark.parametrize("stage", stages_of("kistack-haystack"))
@pytest.mark.parametrize("method", ["auto", "bm25", "embedding"])
def test_it_keeps_the_contract(stage, method):
    check_stage(stage, settings={"method": method})
