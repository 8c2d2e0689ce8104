import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import LLAMA2, LLAMA3, QWEN_1B5, SMALL

from kistack.plugins import costs

SHAPES = st.sampled_from([SMALL, QWEN_1B5, LLAMA2, LLAMA3])
#: Precisions of one kind, from fewer bits to more.
LADDERS = (
    (
        "q2_k_s",
        "q2_k",
        "q3_k_s",
        "q3_k_m",
        "q3_k_l",
        "q4_k_s",
        "q4_k_m",
        "q5_k_s",
        "q5_k_m",
        "q6_k",
        "q8_0",
        "f16",
        "f32",
    ),
    ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "iq3_s"),
    ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "f16"),
    ("nf4-dq", "int4", "nf4", "int4-g32", "int8", "bf16", "fp32"),
)


def test_vocabulary_matrices_stay_in_sixteen_bits_outside_gguf():
    # Qwen2.5 speed benchmark: 1.5B GPTQ-int4, one input token, 1.18 GB; bf16 2.95 GB.
    assert costs.model_bytes(QWEN_1B5, "int4") / 1e9 == pytest.approx(1.18, rel=0.05)
    assert costs.model_bytes(QWEN_1B5, "bf16") / 1e9 == pytest.approx(2.95, rel=0.06)


def test_the_small_models_files_are_the_measured_ones():
    assert costs.model_bytes(SMALL, "Q8_0") == pytest.approx(145e6, rel=0.03)
    assert costs.model_bytes(SMALL, "fp32") == pytest.approx(538e6, rel=0.01)
    # a quantized head is stored beside the tied embedding: torchao 192 MB, PyTorch's dynamic int8 248 MB (measured)
    assert costs.model_bytes(SMALL, "torchao-int8") == pytest.approx(192e6, rel=0.01)
    assert costs.model_bytes(SMALL, "int8-dynamic") == pytest.approx(248e6, rel=0.01)


def test_an_encoder_keeps_its_vocabulary():
    # PyTorch, dynamic quantization tutorial for BERT: 438 to 181 MB
    bert = costs.model_shape("BERT-base")
    assert costs.model_bytes(bert, "fp32") / 1e6 == pytest.approx(438, rel=0.005)
    assert costs.model_bytes(bert, "int8-dynamic") / 1e6 == pytest.approx(181, rel=0.02)


@pytest.mark.parametrize(
    ("name", "precision", "gigabytes"),
    # torchao, quantization/README.md: size of the linear layers, read once per token
    [
        ("Llama-2-7B", "bf16", 13.21),
        ("Llama-2-7B", "torchao-int8", 6.62),
        ("Llama-2-7B", "torchao-int4-g64", 3.74),
        ("Llama-3-8B", "bf16", 15.01),
        ("Llama-3-8B", "torchao-int8", 7.52),
        ("Llama-3-8B", "torchao-int4-g64", 4.22),
    ],
)
def test_one_token_reads_all_but_the_input_embedding(name, precision, gigabytes):
    assert costs.read_bytes(costs.model_shape(name), precision) / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_kv_cache():
    # Hugging Face blog, KV cache quantization: Llama-2-7B, 10,000 tokens, fp16, about 5 GB.
    assert costs.kv_cache_bytes(LLAMA2, 10_000) / 1e9 == pytest.approx(5.2, rel=0.05)
    assert costs.kv_cache_bytes(LLAMA2, 100, batch=3, width=1) == 1.5 * costs.kv_cache_bytes(LLAMA2, 100)


@pytest.mark.parametrize(
    ("name", "precision", "prompt", "gib"),
    # Qwen2.5 speed benchmark, transformers on A100 (its GB are 2^30 bytes)
    [
        ("Qwen2.5-0.5B", "bf16", 30720, 2.34),
        ("Qwen2.5-3B", "gptq-int8", 6144, 3.98),
        ("Qwen2.5-7B", "bf16", 1, 14.38),
        ("Qwen2.5-7B", "gptq-int4", 30720, 11.11),
        ("Qwen2.5-14B", "awq", 30720, 18.57),
        ("Qwen2.5-32B", "bf16", 30720, 74.47),
    ],
)
def test_peak_memory_of_answering(name, precision, prompt, gib):
    peak = costs.inference_peak_bytes(costs.model_shape(name), precision, prompt, 2048)
    assert peak / 2**30 == pytest.approx(gib, rel=0.08)


@given(SHAPES, st.sampled_from(LADDERS), st.data())
def test_bytes_grow_with_bits(shape, ladder, data):
    few = data.draw(st.integers(0, len(ladder) - 2))
    more = data.draw(st.integers(few + 1, len(ladder) - 1))
    assert costs.model_bytes(shape, ladder[few]) <= costs.model_bytes(shape, ladder[more])
    assert costs.read_bytes(shape, ladder[few]) <= costs.model_bytes(shape, ladder[few])


@given(SHAPES, st.integers(1, 10_000), st.integers(0, 1000), st.integers(1, 16), st.sampled_from(["bf16", "q4_k_m"]))
def test_memory_grows_with_batch_and_length(shape, prompt, new, batch, precision):
    peak = costs.inference_peak_bytes(shape, precision, prompt, new, batch=batch)
    assert peak > costs.model_bytes(shape, precision)
    assert costs.inference_peak_bytes(shape, precision, prompt, new, batch=batch + 1) > peak
    assert costs.inference_peak_bytes(shape, precision, prompt + 1, new, batch=batch) > peak
    assert costs.inference_peak_bytes(shape, precision, prompt, new, batch=batch, cache_width=0.5) < peak
