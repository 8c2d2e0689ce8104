from __future__ import annotations

import json
import shutil
import struct

import pytest
import torch
from kistack_transformers import folders, vocabulary
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from kistack.errors import ModelError


@pytest.fixture
def copy(tmp_path, model_folder):
    return shutil.copytree(model_folder, tmp_path / "copy")


def change(folder, name="config.json", **values):
    path = folder / name
    document = json.loads(path.read_text())
    document.update(values)
    path.write_text(json.dumps(document))


def embedder_from(folder):
    """The same files, made to look like a sentence embedder."""
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "extra").mkdir()
    (folder / "extra" / "config.json").write_text("{}")
    modules = [{"path": "", "type": "T"}, {"path": "1_Pooling", "type": "P"}, {"path": "2_Normalize", "type": "N"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    return folder


def test_describe_agrees_with_the_loaded_model(model_folder):
    found = folders.describe(model_folder, "model")
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    assert found.kind == "model"
    assert found.format == "hf"
    assert found.facets == {
        "precision": "fp32",
        "family": "llama",
        "vocabulary": vocabulary.of_folder(model_folder),
    }
    assert found.facts == {
        "params": model.num_parameters(),
        "layers": 4,
        "hidden": 32,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 8,
        "ffn": 64,
        "vocab": model.config.vocab_size,
        "context": 512,
        "bytes": sum(p.stat().st_size for p in model_folder.iterdir()),
    }


def test_shape_knows_the_names_of_other_families():
    gpt2 = {"n_layer": 12, "n_embd": 768, "n_head": 12, "n_positions": 1024, "vocab_size": 50257, "n_inner": None}
    assert folders.shape(gpt2) == {
        "layers": 12,
        "hidden": 768,
        "heads": 12,
        "kv_heads": 12,
        "head_dim": 64,
        "ffn": 3072,
        "vocab": 50257,
        "context": 1024,
    }
    nested = {"model_type": "vl", "text_config": {"hidden_size": 64, "num_attention_heads": 4, "head_dim": 32}}
    assert folders.shape(nested)["head_dim"] == 32
    assert folders.shape({}) == {}


def test_an_embedder_is_described_and_handed_on_with_its_modules(copy):
    folder = embedder_from(copy)
    found = folders.describe(folder, "embedder")
    assert (found.kind, found.format, found.facts["context"]) == ("embedder", "sentence-transformers", 128)
    names = [p.as_posix() for p in folders.files(folder, embedder=True)]
    assert "1_Pooling/config.json" in names
    assert "extra/config.json" not in names
    with pytest.raises(ModelError, match="sentence embedder, not a language model"):
        folders.describe(folder, "model")


def test_module_paths_stay_inside(copy):
    (copy / "modules.json").write_text(json.dumps([{"path": "../../etc"}]))
    with pytest.raises(ModelError, match="leaves the folder"):
        folders.files(copy, embedder=True)
    (copy / "modules.json").write_text("[3]")
    with pytest.raises(ModelError, match="list of modules"):
        folders.files(copy, embedder=True)


def test_code_and_pickles_are_not_handed_on(copy, tmp_path):
    for name in ("modeling_x.py", "pytorch_model.bin", "training_args.pt", ".hidden.json", "LICENSE", "NOTICE"):
        (copy / name).touch()
    names = {p.name for p in folders.files(copy, embedder=False)}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "LICENSE", "NOTICE"} <= names
    assert not names & {"modeling_x.py", "pytorch_model.bin", "training_args.pt", ".hidden.json"}
    out = tmp_path / "out"
    out.mkdir()
    folders.link(copy, folders.files(copy, embedder=False), out)
    assert all(p.is_symlink() and p.read_bytes() == (copy / p.name).read_bytes() for p in out.iterdir())
    assert {p.name for p in out.iterdir()} == names


def test_the_digest_changes_with_any_file(copy):
    names = folders.files(copy, embedder=False)
    before = folders.digest(copy, names)
    assert folders.digest(copy, names) == before
    change(copy, rope_theta=5.0)
    assert folders.digest(copy, names) != before


def test_precision_is_that_of_most_bytes(copy):
    tensors = {
        "a": torch.zeros(8, 8, dtype=torch.bfloat16),
        "b": torch.zeros(2),
        "positions": torch.zeros(512, dtype=torch.int64),
    }
    save_file(tensors, copy / "model.safetensors")
    stored = folders.weights(copy)
    assert (stored.params, stored.precision) == (66, "bf16")


@pytest.mark.parametrize(
    ("stated", "precision"),
    [
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "awq", "w_bit": 4}, "int4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "int4"),
        ({"load_in_8bit": True}, "int8"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "torchao"}, "int8"),
        ("odd", "fp32"),
    ],
)
def test_a_quantized_folder_says_so(copy, stated, precision):
    change(copy, quantization_config=stated)
    assert folders.describe(copy, "model").facets["precision"] == precision


def test_pickles_only_are_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickled weights") as caught:
        folders.describe(copy, "model")
    assert "save_pretrained" in caught.value.hint


def test_remote_code_is_refused_unless_transformers_knows_the_family(copy):
    change(copy, auto_map={"AutoModelForCausalLM": "modeling_x.X"})
    assert folders.describe(copy, "model").facets["family"] == "llama"
    change(copy, model_type="home_made")
    with pytest.raises(ModelError, match="never runs"):
        folders.describe(copy, "model")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "config.json").write_text("{"), "not readable as JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "an object was expected"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").rename(f / "adapter_config.json"), "an adapter, not a model"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x01"), "damaged safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}x"), "damaged safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 9) + b'{"a": {}}'), "damaged safetensors"),
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
        (lambda f: change(f, architectures=["BertModel"]), "does not generate text"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_what_is_no_model(copy, harm, message):
    harm(copy)
    with pytest.raises(ModelError, match=message) as caught:
        folders.describe(copy, "model")
    assert caught.value.hint


def test_a_language_model_is_no_embedder(model_folder):
    with pytest.raises(ModelError, match="no sentence embedder"):
        folders.describe(model_folder, "embedder")
