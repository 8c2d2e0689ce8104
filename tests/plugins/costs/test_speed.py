import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import A100, HERE, LLAMA2, LLAMA3, QWEN_7B, RTX4090, SMALL

from kistack.plugins import costs
from kistack.plugins.costs import Machine


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


def test_bf16_instructions_do_not_help_fp16_on_a_cpu():
    fp16, bf16 = (costs.prefill_seconds(SMALL, 400, HERE, p) for p in ("F16", "bf16"))
    assert fp16 == costs.prefill_seconds(SMALL, 400, HERE, "fp16") == costs.prefill_seconds(SMALL, 400, HERE, "fp32")
    assert bf16 < fp16 / 1.5


def test_quantized_weights_read_prompts_no_faster_on_a_gpu():
    # llama.cpp, tools/quantize/README.md: pp512 of Q4_K_M is 0.89 of F16
    full = costs.prefill_seconds(LLAMA3, 512, A100, "bf16")
    assert full / costs.prefill_seconds(LLAMA3, 512, A100, "q4_k_m") == pytest.approx(0.89, rel=0.01)


def gpu(bandwidth):
    return Machine(16, gpus=1, gpu_free=80e9, bandwidth=bandwidth, flops_fp32=19.5e12, flops_bf16=312e12)


@pytest.mark.parametrize(
    ("name", "precision", "machine", "runtime", "context", "tokens_per_second"),
    [
        # Qwen2.5 speed benchmark, vLLM on A100-80, generating 2,048 tokens
        ("Qwen2.5-0.5B", "gptq-int4", A100, "server", 1024, 260.93),
        ("Qwen2.5-3B", "bf16", A100, "server", 1024, 127.61),
        ("Qwen2.5-14B", "bf16", A100, "server", 1024, 46.30),
        ("Qwen2.5-14B", "gptq-int8", A100, "server", 1024, 70.40),
        ("Qwen2.5-32B", "awq", A100, "server", 1024, 51.92),
        # the same with transformers, where launching kernels takes longer than reading
        ("Qwen2.5-0.5B", "bf16", A100, "eager", 1024, 47.40),
        ("Qwen2.5-7B", "bf16", A100, "eager", 1024, 40.38),
        ("Qwen2.5-7B", "awq", A100, "eager", 1024, 32.03),
        ("Qwen2.5-14B", "gptq-int4", A100, "eager", 31_744, 8.14),
        # torchao README, Llama-3-8B on A100
        ("Llama-3-8B", "torchao-int8", A100, "compiled", 100, 153.03),
        ("Llama-3-8B", "torchao-int8-dynamic", A100, "compiled", 100, 8.61),
        # llm-awq, tinychat/README.md, RTX 4090 and A6000: 1000 / ms
        ("Llama-2-7B", "fp16", RTX4090, "compiled", 500, 1000 / 16.17),
        ("Llama-2-13B", "awq", RTX4090, "compiled", 500, 1000 / 10.35),
        ("Llama-2-13B", "fp16", gpu(768e9), "compiled", 500, 1000 / 41.72),
        # ggml-org/llama.cpp issue 26484 and geerlingguy/sbc-reviews issue 21: Raspberry Pi 5
        ("Qwen2.5-0.5B", "Q8_0", Machine(4, bandwidth=11.4e9), "llama.cpp", 128, 19.87),
        ("Llama-3.1-8B", "Q4_K_M", Machine(4, bandwidth=11.4e9), "llama.cpp", 128, 2.17),
    ],
)
def test_decoding_speed_of_named_runtimes(name, precision, machine, runtime, context, tokens_per_second):
    model = costs.model_shape(name)
    overhead = costs.runtime_overhead(runtime, model, machine, precision)
    seconds = costs.decode_seconds(model, 1, machine, 0, overhead, context=context, precision=precision)
    assert abs(math.log(1 / seconds / tokens_per_second)) < 0.25


@given(
    st.sampled_from([HERE, A100, RTX4090]),
    st.floats(1, 10),
    st.sampled_from(["bf16", "q4_k_m", "int8", "iq2_xs"]),
    st.floats(0, 1e5),
)
def test_time_falls_with_bandwidth_and_grows_with_the_batch(machine, factor, precision, context):
    def step(bandwidth, batch=1.0):
        m = Machine(
            machine.cores, bandwidth=bandwidth, flops_fp32=machine.flops_fp32, flops_bf16=machine.flops_bf16,
            gpus=machine.gpus,
        )  # fmt: skip
        return costs.decode_seconds(LLAMA3, 1, m, context=context * batch, precision=precision, batch=batch)

    assert step(machine.bandwidth * factor) <= step(machine.bandwidth)
    assert step(machine.bandwidth, 1 + factor) >= step(machine.bandwidth)
    # but a batch is never slower than its sequences one after another
    assert step(machine.bandwidth, 4) <= 4 * step(machine.bandwidth) * 1.001


def test_an_answer_is_its_prompt_and_its_tokens():
    one = costs.answer_seconds(LLAMA3, 500, 100, A100, "bf16")
    assert one == pytest.approx(
        costs.prefill_seconds(LLAMA3, 500, A100, "bf16")
        + costs.decode_seconds(LLAMA3, 100, A100, context=550, precision="bf16")
    )
    assert costs.answer_seconds(LLAMA3, 500, 100, A100, "bf16", "server") > one


@given(st.floats(1, 1e5), st.floats(1, 4), st.sampled_from(["fp32", "bf16", "int8", "q4_0"]))
def test_time_grows_with_what_is_asked(tokens, factor, precision):
    more = tokens * factor
    for m in (HERE, A100):
        assert costs.prefill_seconds(SMALL, more, m, precision) >= costs.prefill_seconds(SMALL, tokens, m, precision)
        assert costs.decode_seconds(SMALL, more, m, 1e8) >= costs.decode_seconds(SMALL, tokens, m, 1e8)
        longer, shorter = (costs.decode_seconds(SMALL, 9, m, 1e8, context=c) for c in (more, tokens))
        assert longer >= shorter


def test_prompts_in_bf16_are_read_as_fp32_where_bf16_has_no_instructions():
    old = Machine(cores=2, bandwidth=25e9, flops_fp32=181e9, flops_bf16=16e9)
    assert costs.prefill_seconds(SMALL, 200, old, "bf16") == costs.prefill_seconds(SMALL, 200, old, "fp32")
    assert costs.prefill_seconds(SMALL, 200, HERE, "bf16") < costs.prefill_seconds(SMALL, 200, HERE, "fp32")
