"""The core's own stages keep the contract that it asks of plugins."""

import pytest

from kistack.testing import check_stage


@pytest.mark.system
@pytest.mark.parametrize("stage", ["answer/items", "pairs/passages"])
def test_it_keeps_the_contract(stage):
    check_stage(stage)
