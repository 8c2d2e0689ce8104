import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.domain.artifacts import Type
from kistack.domain.facts import Fact, Profile
from kistack.errors import InputError
from kistack.plugins import costs
from kistack.plugins.costs import Machine

NAMES = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab")


def model(*values):
    return Type("model", facts=dict(zip(NAMES, map(float, values), strict=True)))


SMALL = model(134.5e6, 30, 576, 9, 3, 64, 1536, 49152)  # SmolLM2-135M, tied
LLAMA3 = model(8.03e9, 32, 4096, 32, 8, 128, 14336, 128256)
LLAMA2 = model(6.738e9, 32, 4096, 32, 32, 128, 11008, 32000)
QWEN_1B5 = model(1.5437e9, 28, 1536, 12, 2, 128, 8960, 151936)  # tied
QWEN_7B = model(7.6156e9, 28, 3584, 28, 4, 128, 18944, 152064)
MINILM = model(22.7e6, 6, 384, 12, 12, 32, 1536, 30522)

# The 2-core machine all "measured" figures are of; its matrix products wander between 270 and 400 GFLOP/s.
HERE = Machine(2, 24e9, 1e11, bandwidth=54e9, flops_fp32=350e9, flops_bf16=700e9)
A100 = Machine(16, gpus=1, gpu_free=80e9, bandwidth=2039e9, flops_fp32=19.5e12, flops_bf16=312e12)
RTX4090 = Machine(16, gpus=1, gpu_free=24e9, bandwidth=1008e9, flops_fp32=82e12, flops_bf16=165e12)


# --- bytes


@pytest.mark.parametrize(
    ("precision", "gib"),
    # llama.cpp, tools/quantize/README.md: Llama-3.1-8B
    [
        ("F16", 14.96),
        ("Q8_0", 7.95),
        ("Q6_K", 6.14),
        ("Q5_K_M", 5.33),
        ("Q4_K_M", 4.58),
        ("Q4_K_S", 4.36),
        ("IQ4_XS", 4.17),
        ("Q3_K_S", 3.41),
        ("Q2_K", 2.95),
    ],
)
def test_file_sizes_are_the_published_ones(precision, gib):
    assert costs.model_bytes(LLAMA3, precision) / 2**30 == pytest.approx(gib, rel=0.02)


def test_vocabulary_matrices_stay_in_sixteen_bits_outside_gguf():
    # Qwen2.5 speed benchmark: 1.5B GPTQ-int4, one input token, 1.18 GB; bf16 2.95 GB.
    assert costs.model_bytes(QWEN_1B5, "int4") / 1e9 == pytest.approx(1.18, rel=0.05)
    assert costs.model_bytes(QWEN_1B5, "bf16") / 1e9 == pytest.approx(2.95, rel=0.06)


def test_the_small_models_files_are_the_measured_ones():
    assert costs.model_bytes(SMALL, "Q8_0") == pytest.approx(145e6, rel=0.03)
    assert costs.model_bytes(SMALL, "fp32") == pytest.approx(538e6, rel=0.01)


def test_k_types_fall_back_where_rows_do_not_fit():
    assert costs.model_bytes(SMALL, "Q4_K_M") == costs.model_bytes(SMALL, "Q5_0")
    assert costs.model_bytes(SMALL, "Q6_K") == costs.model_bytes(SMALL, "Q8_0")
    assert costs.model_bytes(LLAMA3, "Q4_K_M") < costs.model_bytes(LLAMA3, "Q5_0")


def test_tied_and_untied_vocabularies_are_told_from_the_shape():
    assert costs.untied_params(SMALL) == costs.untied_params(QWEN_1B5) == 0
    assert costs.untied_params(LLAMA3) == 128256 * 4096
    assert costs.untied_params(Type("model", facts={"params": 1e9})) == 0


def test_kv_cache():
    # Hugging Face blog, KV cache quantization: Llama-2-7B, 10,000 tokens, fp16, about 5 GB.
    assert costs.kv_cache_bytes(LLAMA2, 10_000) / 1e9 == pytest.approx(5.2, rel=0.05)
    assert costs.kv_cache_bytes(LLAMA2, 100, batch=3, width=1) == 1.5 * costs.kv_cache_bytes(LLAMA2, 100)


def test_unknown_precision_names_close_ones():
    with pytest.raises(InputError) as caught:
        costs.bits("Q4_K_N")
    assert "q4_k_m" in caught.value.hint
    assert caught.value.exit_code == 2


@given(st.sampled_from(sorted(costs.BITS)))
def test_no_precision_takes_more_than_its_bits_or_less_than_two(precision):
    size = costs.model_bytes(LLAMA3, precision)
    assert 2 * LLAMA3.fact("params") / 8 < size <= 4 * LLAMA3.fact("params")
    assert costs.is_quantized(precision) == (size < costs.model_bytes(LLAMA3, "bf16"))
    assert costs.bits(precision.upper()) == costs.bits(precision)


# --- seconds


@pytest.mark.parametrize(
    ("shape", "precision", "machine", "overhead", "context", "tokens_per_second"),
    [
        # pytorch-labs/gpt-fast and pytorch/ao READMEs, Llama-2-7B on A100-80, batch 1
        (LLAMA2, "bf16", A100, 0.0, 200, 105),
        (LLAMA2, "int8", A100, 0.0, 200, 163),
        (LLAMA2, "int4-g64", A100, 0.0, 200, 199),
        # Qwen2.5 speed benchmark, vLLM on A100-80; 2.9 ms per token of the framework
        (QWEN_7B, "bf16", A100, 2.9e-3, 1_000, 84.3),
        (QWEN_7B, "int4", A100, 2.9e-3, 1_000, 154),
        (QWEN_7B, "bf16", A100, 2.9e-3, 63_488, 50.9),
        (QWEN_7B, "int4", A100, 2.9e-3, 63_488, 68.0),
        # measured on 2 cores: llama.cpp, then eager PyTorch
        (SMALL, "Q8_0", HERE, 0.0, 0, 112),
        (SMALL, "Q4_1", HERE, 0.0, 0, 117),
        (SMALL, "bf16", HERE, costs.eager_overhead(SMALL, HERE), 0, 16),
        (SMALL, "fp32", HERE, costs.eager_overhead(SMALL, HERE), 0, 12),
    ],
)
def test_decoding_speed(shape, precision, machine, overhead, context, tokens_per_second):
    weights = costs.model_bytes(shape, precision)
    found = 1 / costs.decode_seconds(shape, 1, machine, weights, overhead, context=context)
    assert abs(math.log(found / tokens_per_second)) < math.log(1.5)


def test_decoding_speeds_keep_their_order():
    # llama.cpp, tools/quantize/README.md: fewer bits decode faster (F16 29, Q8_0 51, Q6_K 59, Q4_K_M 72 tokens/s).
    sizes = [costs.model_bytes(LLAMA3, p) for p in ("F16", "Q8_0", "Q6_K", "Q4_K_M")]
    seconds = [costs.decode_seconds(LLAMA3, 1, RTX4090, size) for size in sizes]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] / seconds[3] == pytest.approx(72 / 29, rel=0.15)


@pytest.mark.parametrize(
    ("precision", "low", "high"),
    [("fp32", 250, 500), ("bf16", 730, 900), ("Q8_0", 430, 430)],  # measured on 2 cores
)
def test_prefill_speed_of_the_small_model(precision, low, high):
    found = 426 / costs.prefill_seconds(SMALL, 426, HERE, precision)
    assert low / 1.3 < found < high * 1.3


def test_one_answer_with_passages_takes_what_it_took():
    # measured: 426 prompt tokens, 24 new ones: llama.cpp Q8_0 1.2 s, eager bf16 about 2 s
    quick = costs.prefill_seconds(SMALL, 426, HERE, "Q8_0") + costs.decode_seconds(SMALL, 24, HERE, 145e6)
    eager = costs.eager_overhead(SMALL, HERE)
    slow = costs.prefill_seconds(SMALL, 426, HERE, "bf16") + costs.decode_seconds(SMALL, 24, HERE, 269e6, eager)
    assert quick == pytest.approx(1.2, rel=0.2)
    assert slow == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize(
    ("shape", "precision", "machine", "tokens_per_second"),
    [
        (SMALL, "fp32", HERE, 160),  # measured: LoRA of rank 16 on all linear layers
        (SMALL, "bf16", HERE, 230),
        (LLAMA3, "bf16", RTX4090, 3083),  # torchtune README, LoRA, batch 2 of 2,048 tokens
    ],
)
def test_training_speed(shape, precision, machine, tokens_per_second):
    trained = costs.lora_params(shape, 16)
    found = 1000 / costs.train_seconds(shape.fact("params"), trained, 1000, machine, precision)
    assert abs(math.log(found / tokens_per_second)) < math.log(1.5)


@pytest.mark.parametrize("flops", [270e9, 400e9])
def test_speeds_hold_over_what_is_measured_of_the_machine(flops):
    m = Machine(2, 24e9, 1e11, bandwidth=50e9, flops_fp32=flops, flops_bf16=2 * flops)
    trained = costs.lora_params(SMALL, 16)
    for found, measured in (
        (1000 / costs.train_seconds(134.5e6, trained, 1000, m, "bf16"), 230),
        (1000 / costs.train_seconds(134.5e6, trained, 1000, m, "fp32"), 160),
        (426 / costs.prefill_seconds(SMALL, 426, m, "bf16"), 815),
        (426 / costs.prefill_seconds(SMALL, 426, m, "Q8_0"), 430),
        (1 / costs.decode_seconds(SMALL, 1, m, 145e6), 112),
    ):
        assert abs(math.log(found / measured)) < math.log(1.5)


def test_full_training_costs_half_as_much_again_as_adapters():
    # torchtune README: LoRA 1.82 to 1.87 times as fast; by FLOPs 1.5 times.
    whole = costs.train_seconds(1e9, 1e9, 1000, A100, "bf16")
    adapter = costs.train_seconds(1e9, 1e6, 1000, A100, "bf16")
    assert whole / adapter == pytest.approx(1.5, rel=0.01)


def test_embedding_speed():
    # measured: 3,100 to 3,300 tokens per second and core
    assert 1000 / costs.embed_seconds(MINILM, 1000, HERE) == pytest.approx(5_000, rel=0.3)


# --- memory of training


@pytest.mark.parametrize(
    ("precision", "tokens", "checkpointing", "gigabytes"),
    # measured on 2 cores: LoRA of rank 16 with transformers and peft, sequences of 64 and 128
    [
        ("fp32", 1024, False, 4.61),
        ("bf16", 1024, False, 3.0),
        ("fp32", 256, False, 2.0),
        ("bf16", 256, False, 1.34),
        ("bf16", 1024, True, 1.91),
    ],
)
def test_peak_memory_of_training_the_small_model(precision, tokens, checkpointing, gigabytes):
    trained = costs.lora_params(SMALL, 16)
    peak = costs.train_peak_bytes(SMALL, trained, tokens, 128, precision, checkpointing)
    assert peak / 1e9 == pytest.approx(gigabytes, rel=0.15)


@pytest.mark.parametrize(
    ("precision", "gib"),
    [("bf16", 16.2), ("nf4-dq", 7.4)],  # torchtune README: Llama-3.1-8B, 2 x 2,048 tokens, RTX 4090
)
def test_peak_memory_of_training_a_large_model_on_a_gpu(precision, gib):
    trained = costs.lora_params(LLAMA3, 8)
    peak = costs.train_peak_bytes(LLAMA3, trained, 4096, 2048, precision, checkpointing=True, logit_tokens=256)
    assert (peak - costs.WORKER_BYTES) / 2**30 == pytest.approx(gib, rel=0.2)


def test_full_training_holds_sixteen_bytes_a_parameter():
    # PEFT README: T0_3B, fp32, full fine-tuning 47.14 GB
    t0 = model(2.85e9, 24, 2048, 32, 32, 64, 5120, 32128)
    peak = costs.train_peak_bytes(t0, 2.85e9, 8, 8, "fp32") - costs.WORKER_BYTES
    assert peak / 1e9 == pytest.approx(47.14, rel=0.05)


def test_lora_parameters():
    assert costs.lora_params(SMALL, 16) == 4_884_480
    assert costs.lora_params(SMALL, 16, "q_proj, v_proj") == 30 * 16 * (1152 + 768)
    both = costs.lora_params(SMALL, 8, "attention") + costs.lora_params(SMALL, 8, "mlp")
    assert both == costs.lora_params(SMALL, 8)
    with pytest.raises(InputError, match="wq"):
        costs.lora_params(SMALL, 8, "wq")


@given(st.floats(1, 1e5), st.floats(1, 4), st.sampled_from(["fp32", "bf16", "int8", "q4_0"]))
def test_costs_grow_with_what_is_asked(tokens, factor, precision):
    more = tokens * factor
    for m in (HERE, A100):
        assert costs.prefill_seconds(SMALL, more, m, precision) >= costs.prefill_seconds(SMALL, tokens, m, precision)
        assert costs.decode_seconds(SMALL, more, m, 1e8) >= costs.decode_seconds(SMALL, tokens, m, 1e8)
        assert costs.decode_seconds(SMALL, 9, m, 1e8, context=more) >= costs.decode_seconds(
            SMALL, 9, m, 1e8, context=tokens
        )
        one = costs.train_seconds(1e8, 1e6, tokens, m, "bf16")
        assert costs.train_seconds(1e8, 1e6, more, m, "bf16") == pytest.approx(factor * one)
    peak = costs.train_peak_bytes(SMALL, 1e6, tokens, 128, precision)
    assert costs.train_peak_bytes(SMALL, 1e6, more, 128, precision) >= peak
    assert costs.train_peak_bytes(SMALL, 1e6, tokens, 128, precision, checkpointing=True) <= peak * 1.01


def test_bf16_instructions_do_not_help_fp16_on_a_cpu():
    fp16, bf16 = (costs.prefill_seconds(SMALL, 400, HERE, p) for p in ("F16", "bf16"))
    assert fp16 == costs.prefill_seconds(SMALL, 400, HERE, "fp16") == costs.prefill_seconds(SMALL, 400, HERE, "fp32")
    assert bf16 < fp16 / 1.5


# --- machines


def profile(**facts):
    return Profile({n.replace("__", "."): Fact(v, "", "measured", "test") for n, v in facts.items()})


def test_machine_reads_its_section_and_falls_back():
    facts = profile(hardware__cores=4, hardware__bandwidth=5e10, hardware__flops_fp32=3e11, hardware__isa="avx2,bf16")
    trains, serves = costs.machine(facts), costs.machine(facts, "serving")
    assert trains == serves
    assert (trains.cores, trains.bandwidth, trains.flops_fp32) == (4, 5e10, 3e11)
    assert trains.bf16_is_native
    assert trains.memory == math.inf
    other = costs.machine(facts.updated(profile(serving__cores=1).facts), "serving")
    assert other.cores == 1
    assert not other.bf16_is_native


def test_memory_of_a_machine_with_a_gpu_is_one_gpus():
    one = costs.machine(profile(hardware__gpus=2, hardware__gpu_free=8e9, hardware__ram_free=64e9))
    assert one.memory == 8e9
    assert costs.machine(profile(hardware__gpus=1)).memory == math.inf
    assert costs.machine(profile(hardware__ram_free=64e9)).memory == 64e9


def test_quantized_weights_read_prompts_no_faster_on_a_gpu():
    # llama.cpp, tools/quantize/README.md: pp512 of Q4_K_M is 0.89 of F16
    full = costs.prefill_seconds(LLAMA3, 512, A100, "bf16")
    assert full / costs.prefill_seconds(LLAMA3, 512, A100, "q4_k_m") == pytest.approx(0.89, rel=0.01)
