"""Every stage of this plugin keeps the contract, through the door that is open to everyone."""

import pytest
from kistack_openvino import hooks
from kistack_openvino.places import OPENVINO

from kistack.plugins.installing import create
from kistack.testing import check_stage

pytestmark = pytest.mark.system


@pytest.fixture(scope="module", autouse=True)
def environment(pytestconfig):
    """Made once for this checkout, for it takes minutes; one that is there is taken as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KISTACK_ENVIRONMENTS", str(pytestconfig.rootpath / "build" / "environments"))
        create(OPENVINO, ["kistack_openvino.quantizer", "kistack_openvino.runtime"])
        yield


@pytest.mark.parametrize("stage", ["quantize/openvino", "runtime/openvino"])
def test_it_keeps_the_contract(stage):
    check_stage(stage, plugin=hooks)
