import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_gguf.metadata import read_metadata

from kistack.errors import ModelError


def test_it_reads_what_the_library_reads(gguf_file):
    found = read_metadata(gguf_file)
    reader = gguf.GGUFReader(gguf_file)
    for field in reader.fields.values():
        if field.types[0] != gguf.GGUFValueType.ARRAY and not field.name.startswith("GGUF."):
            assert found.values[field.name] == pytest.approx(field.contents()), field.name
    assert [t.decode() for t in found.tokens] == reader.get_field("tokenizer.ggml.tokens").contents()


def test_special_tokens_flags_and_sizes(gguf_file):
    found = read_metadata(gguf_file)
    assert found.token("bos") == "<|im_start|>"
    assert found.token("eos") == "<|im_end|>"
    assert found.token("mask") == ""
    assert found.flag("add_bos_token") is False
    assert found.number("block_count") == 4
    assert found.vocabulary == len(found.tokens)
    # keys and values, 4 layers, 2 heads of 8, 2 bytes a number
    assert found.cache_bytes_per_token == 2 * 4 * 2 * 8 * 2


def test_no_file_and_no_gguf(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_metadata(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("hello, I am a text")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        read_metadata(tmp_path / "text.gguf")
    (tmp_path / "old.gguf").write_bytes(b"GGUF\x01\x00\x00\x00" + bytes(64))
    with pytest.raises(ModelError, match="version 1 is not known"):
        read_metadata(tmp_path / "old.gguf")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_header_cut_anywhere_is_reported(gguf_file, tmp_path_factory, data):
    whole = gguf_file.read_bytes()
    end = gguf.GGUFReader(gguf_file).fields["tokenizer.chat_template"].offset
    cut = tmp_path_factory.mktemp("m") / "cut.gguf"
    cut.write_bytes(whole[: data.draw(st.integers(0, end - 1))])
    with pytest.raises(ModelError):
        read_metadata(cut)


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_rubbish_behind_the_magic_never_escapes_as_another_error(tmp_path_factory, rubbish):
    file = tmp_path_factory.mktemp("r") / "rubbish.gguf"
    file.write_bytes(b"GGUF\x03\x00\x00\x00" + rubbish)
    try:
        read_metadata(file)
    except ModelError as e:
        assert "rubbish.gguf" in e.message
