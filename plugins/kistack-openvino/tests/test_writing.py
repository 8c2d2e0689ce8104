import pytest
from kistack_openvino.settings import QuantizerSettings
from kistack_openvino.writing import _parameters, numbered, write
from kistack_torch.testing import tiny_model

from kistack.errors import ModelError

GRAPH = """\
<net name="Model{net}" version="11">
<layer id="0" name="input_ids" type="Parameter" version="opset1">
<layer id="4" name="Constant_{first}" type="Const" version="opset1">
<layer id="5" name="ShapeOf_{second}" type="ShapeOf" version="opset3">
<layer id="6" name="__module.model.layers.0.mlp/aten::linear/MatMul_1" type="MatMul" version="opset1">
"""


def test_a_graph_is_named_by_itself_and_not_by_what_the_process_made_before():
    one, other = (
        numbered(GRAPH.format(net=n, first=first, second=second)) for n, first, second in ((0, 21, 7), (12, 584, 585))
    )
    assert one == other
    assert 'name="Constant_4"' in one
    assert 'name="ShapeOf_5"' in one
    assert "aten::linear/MatMul_1" in one
    assert numbered(one) == one


def test_parameters_are_counted_from_the_headers(tmp_path):
    folder = tiny_model(tmp_path / "hf", tied=False)
    from safetensors.torch import load_file

    assert _parameters(folder) == sum(t.numel() for t in load_file(folder / "model.safetensors").values())


def test_a_folder_without_weights_is_named(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    folder = tiny_model(tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    import sys
    from types import SimpleNamespace

    stand_in = SimpleNamespace(OVModelForCausalLM=None, OVWeightQuantizationConfig=None)
    monkeypatch.setitem(sys.modules, "optimum", SimpleNamespace(intel=stand_in))
    monkeypatch.setitem(sys.modules, "optimum.intel", stand_in)
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        write(folder, tmp_path, QuantizerSettings())
