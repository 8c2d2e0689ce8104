import hashlib
import json
import shutil

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_gguf.export import _rope_factors, export, find_licence, interleave
from kistack_gguf.kinds import BLOCK, KINDS
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from kistack.errors import ModelError, StepFailed


def tensors(file):
    return {t.name: t for t in gguf.GGUFReader(file).tensors}


def numbers(tensor):
    return gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(reversed(tensor.shape.tolist())))


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def change_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def change_weights(folder, change):
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_weights_are_the_source_rounded_as_the_kind_says(folder, tmp_path, kind):
    written = export(folder, tmp_path / "m.gguf", kind)
    found, source = tensors(tmp_path / "m.gguf"), load_file(folder / "model.safetensors")
    down = source["model.layers.1.mlp.down_proj.weight"].numpy()
    stored = found["blk.1.ffn_down.weight"]
    assert stored.tensor_type.name == kind.name
    step = np.abs(down).max() * {"F16": 2**-11, "Q8_0": 1 / 127}.get(kind.name, 2 / 15 if "4" in kind.name else 2 / 31)
    np.testing.assert_allclose(numbers(stored), down, atol=1.01 * step)
    assert found["token_embd.weight"].tensor_type.name == kind.head
    np.testing.assert_array_equal(
        numbers(found["output_norm.weight"]), source["model.norm.weight"].numpy(), err_msg="vectors stay exact"
    )
    assert written.params == sum(t.numel() for t in source.values())
    assert written.bytes == (tmp_path / "m.gguf").stat().st_size
    assert written.matrix_bytes == sum(t.n_bytes for t in found.values() if len(t.shape) > 1)
    assert written.matrix_bytes < written.source_matrix_bytes


def test_every_layer_is_there_under_its_name(folder, gguf_file):
    assert len(tensors(gguf_file)) == len(load_file(folder / "model.safetensors"))
    assert "output.weight" in tensors(gguf_file)


def test_a_head_that_is_the_embedding_is_left_out(tied, tmp_path):
    export(tied, tmp_path / "m.gguf", KINDS["Q8_0"])
    assert "output.weight" not in tensors(tmp_path / "m.gguf")


@given(heads=st.integers(1, 4), half=st.integers(1, 4), columns=st.integers(0, 3))
def test_rows_of_a_head_change_from_halves_to_neighbours(heads, half, columns):
    shape = (heads * 2 * half, columns) if columns else (heads * 2 * half,)
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    turned = interleave(rows, heads)
    assert turned.shape == rows.shape
    for head in range(heads):
        start = head * 2 * half
        for i in range(half):
            np.testing.assert_array_equal(turned[start + 2 * i], rows[start + i])
            np.testing.assert_array_equal(turned[start + 2 * i + 1], rows[start + half + i])


def test_the_same_model_gives_the_same_bytes_wherever_it_lies(folder, copied, tmp_path):
    digests = set()
    for number, source in enumerate((folder, copied)):
        target = tmp_path / f"elsewhere-{number}.gguf"
        export(source, target, KINDS["Q8_0"])
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1
    assert str(tmp_path).encode() not in target.read_bytes()


def test_16_bit_sources_are_read_as_they_are(folder, copied, tmp_path):
    change_weights(copied, lambda w: w.update({n: t.to(torch.bfloat16) for n, t in w.items()}))
    export(copied, tmp_path / "bf16.gguf", KINDS["F16"])
    source = load_file(copied / "model.safetensors")["model.layers.0.self_attn.v_proj.weight"]
    np.testing.assert_array_equal(
        numbers(tensors(tmp_path / "bf16.gguf")["blk.0.attn_v.weight"]), source.float().numpy()
    )


def test_rows_that_make_no_whole_block_stay_in_half_precision(copied, tmp_path):
    wide = 64 + BLOCK // 2

    def widen(weights):
        for name, t in list(weights.items()):
            if "down_proj" in name:
                weights[name] = torch.nn.functional.pad(t, (0, wide - 64))
            elif "gate_proj" in name or "up_proj" in name:
                weights[name] = torch.nn.functional.pad(t, (0, 0, 0, wide - 64))

    change_weights(copied, widen)
    change_config(copied, intermediate_size=wide)
    written = export(copied, tmp_path / "m.gguf", KINDS["Q4_0"])
    assert tensors(tmp_path / "m.gguf")["blk.0.ffn_down.weight"].tensor_type.name == "F16"
    assert written.fallbacks == 4


def test_metadata_says_the_shape(gguf_file, folder):
    fields = gguf.GGUFReader(gguf_file).fields
    config = json.loads((folder / "config.json").read_text())
    read = {name.removeprefix("llama."): fields[name].contents() for name in fields if name.startswith("llama.")}
    assert read["block_count"] == config["num_hidden_layers"]
    assert read["attention.head_count_kv"] == config["num_key_value_heads"]
    assert read["rope.dimension_count"] == config["head_dim"]
    assert read["rope.freq_base"] == pytest.approx(config["rope_parameters"]["rope_theta"])
    assert read["attention.layer_norm_rms_epsilon"] == pytest.approx(config["rms_norm_eps"])
    assert fields["general.file_type"].contents() == 1


LONG = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def test_rotary_factors_of_llama_3_are_those_of_transformers():
    rope = {**LONG, "original_max_position_embeddings": 8192, "rope_theta": 500000.0}
    config = LlamaConfig(hidden_size=2048, num_attention_heads=32, rope_parameters=rope, max_position_embeddings=131072)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1.0 / 500000.0 ** (np.arange(0, 64, 2) / 64)
    factors = _rope_factors({"hidden_size": 2048, "num_attention_heads": 32, "rope_parameters": rope})
    np.testing.assert_allclose(plain / factors, scaled.numpy(), rtol=1e-5)


def test_scaled_rotary_embeddings_are_written(copied, tmp_path):
    change_config(copied, rope_parameters={**LONG, "original_max_position_embeddings": 64, "rope_theta": 1e4})
    export(copied, tmp_path / "m.gguf", KINDS["F16"])
    assert tensors(tmp_path / "m.gguf")["rope_freqs.weight"].shape.tolist() == [4]
    change_config(copied, rope_parameters=None, rope_theta=1e4, rope_scaling={"type": "linear", "factor": 2.0})
    export(copied, tmp_path / "m.gguf", KINDS["F16"])
    assert gguf.GGUFReader(tmp_path / "m.gguf").fields["llama.rope.scaling.factor"].contents() == 2.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "qwen2"}, "'qwen2' is not llama"),
        ({"hidden_act": "gelu"}, "'gelu' has no form"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "'yarn' cannot be exported"),
    ],
)
def test_what_has_no_form_is_refused_by_name(copied, tmp_path, values, message):
    change_config(copied, **values)
    with pytest.raises(ModelError, match=message):
        export(copied, tmp_path / "m.gguf", KINDS["F16"])


def test_a_folder_without_config_embedding_or_with_strange_tensors(copied, tmp_path):
    change_weights(copied, lambda w: w.update({"model.extra.weight": torch.zeros(2, 2)}))
    with pytest.raises(ModelError, match=r"model\.extra\.weight has no place"):
        export(copied, tmp_path / "m.gguf", KINDS["F16"])
    change_weights(copied, lambda w: w.pop("model.embed_tokens.weight"))
    with pytest.raises(ModelError, match=r"holds no model\.embed_tokens\.weight"):
        export(copied, tmp_path / "m.gguf", KINDS["F16"])
    (copied / "config.json").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        export(copied, tmp_path / "m.gguf", KINDS["F16"])


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "NaN or infinite"), (1e5, "do not fit half precision")])
def test_weights_that_cannot_be_stored_are_named(copied, tmp_path, value, message):
    def spoil(weights):
        weights["model.layers.2.mlp.up_proj.weight"][3, 4] = value

    change_weights(copied, spoil)
    with pytest.raises(StepFailed, match=rf"blk\.2\.ffn_up\.weight: .*{message}"):
        export(copied, tmp_path / "m.gguf", KINDS["F16"])


def test_progress_counts_weights(folder, tmp_path):
    seen = []
    written = export(folder, tmp_path / "m.gguf", KINDS["F16"], lambda *n: seen.append(n))
    assert seen[-1] == (written.params, written.params)
    assert seen == sorted(seen)


def test_pieces_of_a_large_matrix_join_to_the_whole(folder, tmp_path, monkeypatch):
    export(folder, tmp_path / "whole.gguf", KINDS["Q8_0"])
    monkeypatch.setattr("kistack_gguf.export._PIECE", 100)
    export(folder, tmp_path / "pieces.gguf", KINDS["Q8_0"])
    assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "pieces.gguf").read_bytes()


def test_licences_are_told_from_readme_or_text(tmp_path):
    assert find_licence(tmp_path) == ""
    (tmp_path / "LICENSE").write_text("\n   Apache License\n Version 2.0, January 2004")
    assert find_licence(tmp_path) == "apache-2.0"
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: 'mit'\n---\n# Model\nlicense: none")
    assert find_licence(tmp_path) == "mit"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-4, 4, width=32), min_size=BLOCK, max_size=BLOCK))
def test_q8_errors_stay_below_half_a_step(values):
    block = np.array([values], np.float32)
    kind = gguf.GGMLQuantizationType.Q8_0
    back = gguf.dequantize(gguf.quantize(block, kind), kind)
    # half a step, and the scale itself rounded to half precision
    step = np.abs(block).max() / 127
    assert np.abs(back - block).max() <= 0.5 * step + np.abs(block).max() * 2**-10 + 1e-5
