import json

import numpy as np
import pytest
from kistack_torch.embedding.weights import map_tensors, read_header
from safetensors.numpy import save_file

TENSORS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.array([1.5, -2.0], dtype=np.float16),
    "ids": np.arange(4),
    "scalar": np.array(3.0, dtype=np.float32),
}


@pytest.fixture
def path(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors", metadata={"format": "pt"})
    return tmp_path / "w.safetensors"


def test_tensors_are_those_that_the_library_wrote(path):
    found = map_tensors(path)
    assert set(found) == {"a", "half", "scalar"}
    for name, tensor in found.items():
        assert tensor.dtype == np.float32
        assert type(tensor) is np.ndarray
        assert np.array_equal(tensor, TENSORS[name].astype(np.float32))


def test_single_precision_is_not_copied_and_cannot_be_changed(path):
    tensor = map_tensors(path)["a"]
    assert not tensor.flags.owndata
    assert not tensor.flags.writeable


def test_the_header_names_types_and_shapes(path):
    header = read_header(path)
    assert header["half"]["dtype"] == "F16"
    assert header["a"]["shape"] == [2, 3]
    assert "__metadata__" not in header


@pytest.mark.parametrize("content", [b"", b"damaged", b"\xff" * 40, (2).to_bytes(8, "little") + b"[]"])
def test_what_is_no_such_file_is_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        map_tensors(tmp_path / "w")


def test_a_file_that_was_cut_off_is_refused(path):
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        map_tensors(path)


def test_offsets_that_do_not_fit_the_shape_are_refused(path):
    header = {"a": {"dtype": "F32", "shape": [5], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 8)
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        map_tensors(path)
