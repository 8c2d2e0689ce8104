from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_transformers import vocabulary
from tokenizers import pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kistack.errors import ModelError


def test_the_byte_alphabet_is_that_of_byte_level_tokenizers():
    assert sorted(vocabulary.byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" a\n\x7f")
    assert "".join(part for part, _ in split) == "".join(vocabulary.byte_alphabet()[b] for b in b" a\n\x7f")


def test_a_folder_and_the_list_of_its_tokens_have_one_identity(model_folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(model_folder)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    assert vocabulary.of_folder(model_folder) == vocabulary.of_tokens(tokens)
    assert len(vocabulary.of_folder(model_folder)) == vocabulary.DIGITS


def test_merges_and_templates_do_not_matter_but_ids_do(model_folder, tmp_path):
    document = json.loads((model_folder / "tokenizer.json").read_text())
    own = vocabulary.of_folder(model_folder)
    document["model"]["merges"] = document["model"]["merges"][:3]
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    assert vocabulary.of_folder(tmp_path) == own
    table = document["model"]["vocab"]
    one, other = list(table)[10:12]
    table[one], table[other] = table[other], table[one]
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    assert vocabulary.of_folder(tmp_path) != own


def test_padding_entries_do_not_matter():
    assert vocabulary.of_tokens(["a", "b", "[PAD2]"]) == vocabulary.of_tokens(["a", "b"])
    assert vocabulary.of_tokens(["a", "b", "[PAD7]"]) != vocabulary.of_tokens(["a", "b"])


def test_other_tokenizer_files(tmp_path):
    words = ["[PAD]", "[UNK]", "the", "##s"]
    for name, text in (
        ("vocab.txt", "\n".join(words) + "\n"),
        ("vocab.json", json.dumps({w: n for n, w in enumerate(words)})),
        ("tokenizer.json", json.dumps({"model": {"vocab": [[w, -1.0] for w in words]}, "added_tokens": []})),
    ):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text(text)
        assert vocabulary.of_folder(folder) == vocabulary.of_tokens(words)
    folder = tmp_path / "vocab-json"
    (folder / "added_tokens.json").write_text(json.dumps({"<extra>": len(words)}))
    assert vocabulary.of_folder(folder) == vocabulary.of_tokens([*words, "<extra>"])
    (tmp_path / "tokenizer.model").write_bytes(b"\x00opaque")
    assert vocabulary.of_folder(tmp_path) != vocabulary.of_tokens(words)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model": {}}', '{"model": {"vocab": 3}}'])
def test_a_broken_tokenizer_is_an_input_error(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match="cannot be read"):
        vocabulary.of_folder(tmp_path)


def test_no_tokenizer_is_an_input_error(tmp_path):
    with pytest.raises(ModelError, match="no tokenizer"):
        vocabulary.of_folder(tmp_path)


@given(st.lists(st.text(max_size=6), max_size=20, unique=True), st.data())
def test_identity_depends_on_the_table_only(tokens, data):
    table = list(enumerate(tokens))
    assert vocabulary.identity(data.draw(st.permutations(table))) == vocabulary.identity(table)
    respelled = "".join(vocabulary.byte_alphabet()[b] for b in "straße".encode())
    assert vocabulary.of_tokens([*tokens, "straße\u2581"]) != vocabulary.of_tokens([*tokens, respelled])
