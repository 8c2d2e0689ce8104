import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_gguf.weights import Weights
from safetensors.torch import save_file

from kistack.errors import ModelError


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_numbers_are_read_as_torch_reads_them(tmp_path, dtype):
    tensor = torch.randn(7, 5).to(dtype)
    save_file({"a": tensor, "b": torch.ones(3, dtype=dtype)}, tmp_path / "model.safetensors")
    weights = Weights(tmp_path)
    np.testing.assert_array_equal(weights["a"].rows(), tensor.float().numpy())
    np.testing.assert_array_equal(weights["a"].rows(2, 4), tensor[2:4].float().numpy())
    np.testing.assert_array_equal(weights["b"].rows(), np.ones(3, np.float32))
    assert weights["a"].nbytes == tensor.numel() * tensor.element_size()


def test_parts_in_several_files_are_one_model(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.ones(2)}, tmp_path / "model-00002-of-00002.safetensors")
    assert {t.name for t in Weights(tmp_path)} == {"a", "b"}


def test_a_folder_without_weights_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"no \*\.safetensors") as caught:
        Weights(tmp_path)
    assert "save_pretrained" in caught.value.hint


def test_quantized_weights_are_refused_by_name(tmp_path):
    save_file({"a": torch.zeros(2, dtype=torch.int8)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="a is stored as I8"):
        Weights(tmp_path)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_damage_is_reported_never_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("w")
    file = folder / "model.safetensors"
    save_file({"a": torch.arange(8.0)}, file)
    whole = file.read_bytes()
    kept = data.draw(st.integers(0, len(whole) - 1))
    file.write_bytes(whole[:kept])
    with pytest.raises(ModelError):
        Weights(folder)


def test_offsets_outside_the_file_are_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="does not lie inside the file"):
        Weights(tmp_path)
