from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_transformers.header import read_header

from kistack.errors import ModelError


def write(path: Path, tokens: list[str]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(3)
    writer.add_head_count([4, 8, 4])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_bool("tokenizer.ggml.add_bos_token", val=True)
    writer.add_license("apache-2.0")
    writer.add_tensor("token_embd.weight", np.zeros((5, 4), np.float32))
    writer.add_tensor("blk.0.attn_norm.weight", np.zeros(4, np.float32))
    writer.add_tensor("rope_freqs.weight", np.zeros(2, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "m.gguf", ["<s>", "ä", "c"])


def test_it_reads_what_the_writer_of_the_format_wrote(file):
    header = read_header(file)
    assert header.architecture == "llama"
    assert header.number("block_count") == 3
    assert header.number("attention.head_count") == 8  # of a list the largest
    assert header.number("attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    assert header.number("context_length", 7) == 7
    assert header.metadata["general.license"] == "apache-2.0"
    assert header.metadata["tokenizer.ggml.add_bos_token"] is True
    assert header.metadata["tokenizer.ggml.tokens"] == 3  # not asked for: its length
    assert read_header(file, ("tokenizer.ggml.tokens",)).metadata["tokenizer.ggml.tokens"] == ["<s>", "ä", "c"]
    assert [(t.name, t.shape, t.kind, t.count) for t in header.weights()] == [
        ("token_embd.weight", (4, 5), 0, 20),
        ("blk.0.attn_norm.weight", (4,), 0, 4),
    ]
    assert len(header.tensors) == 3


def test_a_file_written_anew_is_read_anew(file):
    assert read_header(file).metadata["tokenizer.ggml.tokens"] == 3
    write(file, ["<s>", "ä", "c", "d"])
    assert read_header(file).metadata["tokenizer.ggml.tokens"] == 4


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04zipped", b"GGUF" + struct.pack("<I", 99)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"not a GGUF file|version 99"):
        read_header(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        read_header(tmp_path / "none.gguf")


@given(st.data())
def test_a_damaged_header_never_ends_in_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    whole = write(folder / "m.gguf", ["a", "b"]).read_bytes()
    end = whole.index(b"rope_freqs.weight")
    kept = bytearray(whole[: data.draw(st.integers(0, end))])
    for _ in range(data.draw(st.integers(0, 3))):
        if kept:
            kept[data.draw(st.integers(0, len(kept) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.gguf"
    path.write_bytes(kept)
    try:
        header = read_header(path)  # a smaller count of tensors reads well
    except ModelError as e:
        assert e.hint
    else:
        assert len(header.tensors) < 3
