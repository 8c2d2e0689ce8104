from __future__ import annotations

import gguf
import numpy as np
import pytest
from kistack_transformers import folders, gguf_files
from kistack_transformers.header import Header, Tensor, read_header

from kistack.errors import ModelError


def header(*kinds: int) -> Header:
    tensors = [Tensor(f"blk.{n}.ffn_up.weight", (4, 4), kind) for n, kind in enumerate(kinds)]
    return Header({}, (*tensors, Tensor("output_norm.weight", (4,), 0)))


@pytest.mark.parametrize(
    ("kinds", "wanted", "expected"),
    [
        ((0,), "auto", "fp32"),
        ((1,), "auto", "fp16"),
        ((30, 30), "auto", "bf16"),
        ((0, 30), "auto", "fp32"),
        ((3, 8), "auto", "bf16"),
        ((1, 8), "auto", "bf16"),
        ((3,), "fp32", "fp32"),
        ((0,), "fp16", "fp16"),
    ],
)
def test_plain_numbers_are_kept_and_blocks_unpacked_to_bf16(kinds, wanted, expected):
    name, reason = gguf_files.choose_format(header(*kinds), wanted)
    assert name == expected
    assert reason.startswith(f"{expected} because ")


def test_a_file_and_its_folder_are_described_alike(gguf_file, model_folder):
    file = gguf_files.describe(gguf_file, "auto")
    folder = folders.describe(model_folder, "model")
    assert file.facets == folder.facets
    assert {**file.facts, "bytes": 0} == {**folder.facts, "bytes": 0}
    assert file.fact("bytes") == pytest.approx(folder.fact("bytes"), rel=0.1)


def test_identity_depends_on_content_and_number_format(gguf_file, packed_file, tmp_path):
    own = gguf_files.digest(packed_file, "auto")
    assert gguf_files.digest(packed_file, "bf16") == own
    assert gguf_files.digest(packed_file, "fp32") != own
    assert gguf_files.digest(gguf_file, "fp32") != gguf_files.digest(packed_file, "fp32")
    (tmp_path / "moved.gguf").write_bytes(packed_file.read_bytes())
    assert gguf_files.digest(tmp_path / "moved.gguf", "auto") == own


def test_metadata_for_people(gguf_file):
    assert gguf_files.licence(gguf_file) == "mit"
    assert "<|im_start|>" in gguf_files.chat_template(gguf_file)


def test_costs_grow_with_the_model(gguf_file):
    found = gguf_files.describe(gguf_file, "bf16")
    larger = gguf_files.describe(gguf_file, "fp32")
    assert gguf_files.peak_bytes(larger) - gguf_files.peak_bytes(found) == pytest.approx(2 * found.fact("params"))
    assert gguf_files.seconds(found) > 0


def test_a_file_without_a_language_model_is_refused(tmp_path):
    path = tmp_path / "lora.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_tensor("x", np.zeros(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read_header(path).architecture == "llama"
    with pytest.raises(ModelError, match="no language model"):
        gguf_files.describe(path, "auto")
