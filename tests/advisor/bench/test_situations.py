import pytest

from kistack.advisor.bench.rows import Row
from kistack.advisor.bench.situations import Inexpressible, read_row, recipe_of
from kistack.plugins.costs import lora_params


def read(config, hardware="A100", source="", model="Llama-3.1-8B"):
    return read_row(Row(kind="x", model=model, hardware=hardware, config=config, measured=1, unit="B", source=source))


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        ("Q4_K_M (4.8944 bits/weight)", "q4_k_m"),
        ("IQ2_XXS tg128", "iq2_xxs"),
        ("F16 pp512", "fp16"),
        ("gptq-int8 ctx 6144", "gptq-int8"),
        ("GPTQ-Int4", "gptq-int4"),
        ("AWQ", "awq"),
        ("int8 dynamic (linears only)", "int8-dynamic"),
        ("int4 g64", "int4-g64"),
        ("4-bit (G=32)", "int4-g32"),
        ("int8", "int8"),
        ("qlora, 4090", "nf4-dq"),
        ("full ft", "bf16"),
        ("lora fp32 base", "fp32"),
    ],
)
def test_precisions_are_read_in_the_words_of_sources(config, precision):
    assert read(config).precision == precision


def test_lengths_are_read():
    it = read("bf16 ctx 6144", hardware="A100 bs4 seq 2048")
    assert (it.prompt, it.batch, it.length("sequence")) == (6144, 4, 2048)
    assert read("bf16 ctx~1k").prompt == 1000
    assert read("bf16 ctx~1k").around
    assert not it.around
    assert read("Q8_0 pp512").length("processed") == 512
    assert read("fp16, 10,000 tokens").length("tokens") == 10_000


@pytest.mark.parametrize(
    ("words", "runtime"), [("A100 vLLM", "server"), ("A100 HF transformers", "eager"), ("A100", "compiled")]
)
def test_runtimes(words, runtime):
    assert read("bf16", hardware=words).runtime == runtime


def test_a_recipe_is_what_row_and_source_say_together():
    mixed = recipe_of(read("full ft bf16", hardware="A100, bs4 seq1024"))
    assert (mixed.batch_tokens, mixed.precision, mixed.master, mixed.optimizer) == (4096, "bf16", True, "adamw")
    tune = recipe_of(read("full ft low-mem, 4090", hardware="bs2 seq2048", source="pytorch/torchtune"))
    assert (tune.master, tune.optimizer, tune.in_backward, tune.fused, tune.checkpointing) == (
        False, "paged", True, True, True,
    )  # fmt: skip
    peft = read("lora fp32 base", source="huggingface/peft README.md", model="T0_3B")
    assert recipe_of(peft).trainable == lora_params(peft.model, 8, "q_proj,v_proj")
    assert recipe_of(peft).batch_tokens == 512
    assert recipe_of(read("qat bf16")).fake_quantized
    assert recipe_of(read("full ft pure bf16, 8-bit adam, checkpointing")).optimizer == "adamw-8bit"


@pytest.mark.parametrize("config", ["", "fast", "in gold"])
def test_a_row_without_precision_has_no_prediction(config):
    with pytest.raises(Inexpressible, match="precision"):
        read(config)


def test_a_training_without_method_has_none():
    with pytest.raises(Inexpressible, match="method"):
        recipe_of(read("bf16"))
