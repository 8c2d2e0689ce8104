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


def test_the_quantizer_keeps_the_contract():
    check_stage(
        "quantize/openvino",
        plugin=hooks,
        expected={"smaller": "the graph, about 0.4 MB whatever the model, outweighs the weights of the tiny llama"},
    )


def test_the_runtime_keeps_the_contract():
    check_stage("runtime/openvino", plugin=hooks)
