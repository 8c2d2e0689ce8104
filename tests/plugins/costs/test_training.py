import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import A100, HERE, LLAMA3, RTX4090, SMALL, model

from kistack.errors import InputError
from kistack.plugins import costs
from kistack.plugins.costs import Recipe

NAMED = costs.model_shape("Llama-3.1-8B")


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


def test_launching_kernels_is_a_matter_of_gpus_and_of_how_often():
    assert costs.launch_seconds(SMALL, 100, HERE) == 0
    assert costs.launch_seconds(SMALL, 100, A100) == pytest.approx(100 * SMALL.fact("layers") * 7.6e-3)


def test_full_training_costs_half_as_much_again_as_adapters():
    # torchtune README: LoRA 1.82 to 1.87 times as fast; by FLOPs 1.5 times.
    whole = costs.train_seconds(1e9, 1e9, 1000, A100, "bf16")
    adapter = costs.train_seconds(1e9, 1e6, 1000, A100, "bf16")
    assert whole / adapter == pytest.approx(1.5, rel=0.01)


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


@pytest.mark.parametrize(
    ("recipe", "gib"),
    # torchtune README, Llama-3.1-8B, 2 x 2,048 tokens, compiled, bf16
    [
        (Recipe(8.03e9, 4096, checkpointing=True, fused=True, optimizer="paged", master=False, in_backward=True), 18.9),
        (Recipe(8.03e9, 4096, checkpointing=True, fused=True, optimizer="paged", master=False), 37.4),
        (Recipe(3.4e6, 4096, checkpointing=True, fused=True), 16.2),
        (Recipe(3.4e6, 4096, fused=True), 30.3),
        (Recipe(3.4e6, 4096, "nf4-dq", checkpointing=True, fused=True), 7.4),
    ],
)
def test_peak_memory_of_compiled_training(recipe, gib):
    shape = LLAMA3 if recipe.trainable == LLAMA3.fact("params") else NAMED
    assert costs.training_peak_bytes(shape, recipe) / 2**30 == pytest.approx(gib, rel=0.15)


@given(st.integers(16, 8192), st.booleans(), st.booleans(), st.integers(1, 256))
def test_adapters_take_less_than_all_weights_and_quantized_bases_less_again(tokens, checkpointing, fused, rank):
    adapter = costs.lora_params(NAMED, rank)
    how = {"checkpointing": checkpointing, "fused": fused}
    full = costs.training_peak_bytes(NAMED, Recipe(NAMED.fact("params"), tokens, **how))
    lora = costs.training_peak_bytes(NAMED, Recipe(adapter, tokens, **how))
    qlora = costs.training_peak_bytes(NAMED, Recipe(adapter, tokens, "nf4-dq", **how))
    assert qlora < lora < full
    assert costs.training_peak_bytes(NAMED, Recipe(adapter, tokens + 1, **how)) > lora
    if checkpointing:
        kept = Recipe(adapter, tokens, checkpointing=False, fused=fused)
        assert costs.training_peak_bytes(NAMED, kept) > lora


def test_what_a_recipe_adds_or_saves():
    params = SMALL.fact("params")
    plain = costs.training_peak_bytes(SMALL, Recipe(params, 512))

    def difference(**changes):
        return costs.training_peak_bytes(SMALL, Recipe(params, 512, **changes)) - plain

    # bitsandbytes: 8-bit moments take 2 of 8 bytes, paged ones none of the device's
    assert difference(optimizer="adamw-8bit") == pytest.approx(-6 * params)
    assert difference(optimizer="paged") == pytest.approx(-8 * params)
    # without the fp32 copy gradients are in 16 bits too
    assert difference(master=False) == pytest.approx(-6 * params)
    assert difference(fake_quantized=True) == pytest.approx(2 * costs.linear_params(SMALL))
    assert -4 * params < difference(in_backward=True) < -3 * params


def test_a_resident_teacher_takes_its_weights_and_recorded_signals_take_none():
    params = SMALL.fact("params")
    recorded = costs.training_peak_bytes(SMALL, Recipe(params, 512))
    resident = costs.training_peak_bytes(SMALL, Recipe(params, 512, teacher=LLAMA3))
    quantized = costs.training_peak_bytes(SMALL, Recipe(params, 512, teacher=LLAMA3, teacher_precision="nf4"))
    assert costs.model_bytes(LLAMA3, "bf16") < resident - recorded < 1.1 * costs.model_bytes(LLAMA3, "bf16")
    assert quantized < resident


def test_distilling_reads_with_the_teacher_and_trains_the_student():
    # Generalized knowledge distillation and the 6 N rule: (2 N_teacher + 6 N_student) FLOPs a token
    alone = costs.train_seconds(1e9, 1e9, 1000, A100, "bf16")
    assert costs.distill_seconds(1e9, 0, 1000, A100, "bf16") == pytest.approx(alone)
    assert costs.distill_seconds(1e9, 3e9, 1000, A100, "bf16") == pytest.approx(2 * alone)


def test_quantization_aware_training_takes_a_third_longer():
    alone = costs.train_seconds(1e9, 1e9, 1000, A100, "bf16")
    assert costs.fake_quantized_seconds(1e9, 1000, A100, "bf16") == pytest.approx(1.34 * alone)


@pytest.mark.parametrize("m", [HERE, A100])
def test_training_time_follows_what_is_computed(m):
    one = costs.train_seconds(1e8, 1e6, 1000, m, "bf16")
    assert costs.train_seconds(1e8, 1e6, 3000, m, "bf16") == pytest.approx(3 * one)
    # Transformer Math 101: computing activations twice adds a forward pass, 8 for 6 where all weights are trained
    again = costs.train_seconds(1e8, 1e8, 1000, m, "bf16", checkpointing=True)
    assert again / costs.train_seconds(1e8, 1e8, 1000, m, "bf16") == pytest.approx(8 / 6)
    assert costs.train_seconds(1e8, 1e6, 1000, m, "bf16", fused=True) <= one


@given(st.floats(1, 1e5), st.floats(1, 4), st.sampled_from(["fp32", "bf16", "int8", "q4_0"]))
def test_memory_of_training_grows_with_the_batch(tokens, factor, precision):
    peak = costs.train_peak_bytes(SMALL, 1e6, tokens, 128, precision)
    assert costs.train_peak_bytes(SMALL, 1e6, factor * tokens, 128, precision) >= peak
    assert costs.train_peak_bytes(SMALL, 1e6, tokens, 128, precision, checkpointing=True) <= peak * 1.01
