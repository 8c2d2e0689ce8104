from __future__ import annotations

import gguf
import pytest
import torch
from kistack_torch.models import load_model, load_tokenizer
from kistack_transformers import conversion, folders, gguf_files, vocabulary
from kistack_transformers.gguf_files import TOKENS
from kistack_transformers.header import read_header

from kistack.errors import ModelError

TEXT = "The latest version was 3.12.4 (2024-05-01);  ½ of it ends  2028.\n\tdef f(x): return 10"


def logits(folder, ids):
    model = load_model(folder, dtype=torch.float32, device="cpu")
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


@pytest.fixture(scope="module")
def converted(gguf_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("converted") / "model"
    conversion.convert(gguf_file, out, "fp32")
    return out


def test_the_model_answers_as_before_its_way_through_gguf(converted, model_folder):
    ids = list(range(3, 60))
    torch.testing.assert_close(logits(converted, ids), logits(model_folder, ids), rtol=1e-4, atol=1e-4)


def test_what_was_promised_is_what_lies_there(converted, gguf_file):
    promised, found = gguf_files.describe(gguf_file, "fp32"), folders.describe(converted, "model")
    assert found.facets == promised.facets
    assert {**found.facts, "bytes": 0} == {**promised.facts, "bytes": 0}
    tokens = read_header(gguf_file, (TOKENS,)).metadata[TOKENS]
    assert vocabulary.of_folder(converted) == vocabulary.of_tokens(tokens)


def test_the_tokenizer_survives_with_template_and_ends(converted, model_folder):
    before, after = load_tokenizer(model_folder), load_tokenizer(converted)
    assert after.chat_template == before.chat_template
    assert (after.eos_token, after.pad_token) == (before.eos_token, before.pad_token)
    assert after.decode(after(TEXT)["input_ids"]) == TEXT
    assert after("<|im_start|>user\nhi<|im_end|>")["input_ids"] == before("<|im_start|>user\nhi<|im_end|>")["input_ids"]
    assert after.model_max_length == 512


def test_digits_stand_apart_as_the_file_says(converted):
    # the rule named in the file sets every digit apart before anything else is split
    tokens = load_tokenizer(converted).backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  2028")
    assert [part for part, _ in tokens] == ["a", "ĠĠ", "2", "0", "2", "8"]


def test_nothing_of_the_way_it_was_read_is_written(converted):
    assert "quantization_config" not in folders.read_json(converted / "config.json")
    assert "local_files_only" not in folders.read_json(converted / "tokenizer_config.json")


def test_converting_twice_gives_the_same_bytes(converted, gguf_file, tmp_path):
    conversion.convert(gguf_file, tmp_path / "again", "fp32")
    for path in sorted(converted.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_blocks_are_unpacked_to_the_format_asked_for(packed_file, model_folder, tmp_path):
    conversion.convert(packed_file, tmp_path, "bf16")
    assert folders.describe(tmp_path, "model").facets["precision"] == "bf16"
    ids = list(range(3, 40))
    before, after = logits(model_folder, ids), logits(tmp_path, ids)
    assert torch.nn.functional.cosine_similarity(before.flatten(), after.flatten(), dim=0) > 0.99


@pytest.mark.parametrize(
    ("tokens", "message"), [(["a", "b", "ab"], "architecture 'odd' cannot be converted"), (["a", "b"], "tokenizer")]
)
def test_what_cannot_be_converted_is_refused(tmp_path, tokens, message):
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "odd")
    writer.add_block_count(1)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["a b"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=message):
        conversion.convert(path, tmp_path / "out", "bf16")
