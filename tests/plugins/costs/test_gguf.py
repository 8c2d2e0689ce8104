import pytest
from shapes import LLAMA3, SMALL

from kistack.domain.artifacts import Type
from kistack.plugins import costs

# llama.cpp, tools/quantize/README.md: bits per weight of Llama-3.1-8B
PUBLISHED = {
    "IQ1_S": 2.0042,
    "IQ1_M": 2.1460,
    "IQ2_XXS": 2.3824,
    "IQ2_XS": 2.5882,
    "IQ2_S": 2.7403,
    "IQ2_M": 2.9294,
    "IQ3_XXS": 3.2548,
    "IQ3_XS": 3.4977,
    "IQ3_S": 3.6606,
    "IQ3_M": 3.7628,
    "IQ4_XS": 4.4597,
    "IQ4_NL": 4.6818,
    "Q2_K_S": 2.9697,
    "Q2_K": 3.1593,
    "Q3_K_S": 3.6429,
    "Q3_K_L": 4.2979,
    "Q4_K_S": 4.6672,
    "Q4_K_M": 4.8944,
    "Q5_K_S": 5.5704,
    "Q5_K_M": 5.7036,
    "Q6_K": 6.5633,
    "Q8_0": 8.5008,
    "F16": 16.0005,
}


@pytest.mark.parametrize(("precision", "bits"), PUBLISHED.items())
def test_mixtures_take_the_published_bits(precision, bits):
    model = costs.model_shape("Llama-3.1-8B")
    assert 8 * costs.file_bytes(model, precision) / model.fact("params") == pytest.approx(bits, abs=1e-4)


def test_rows_that_are_no_multiple_of_256_fall_back():
    # SmolLM2-135M-Instruct-Q4_K_M.gguf is published with 105 MB, of which 1.8 are the tokenizer's.
    tokenizer = costs.GGUF_TOKEN_BYTES * 49152
    assert costs.model_bytes(SMALL, "Q4_K_M") + tokenizer == pytest.approx(105.5e6, rel=0.01)
    # all rows but those of the down projection, which are 6 times 256 wide
    assert costs.model_bytes(SMALL, "Q6_K") < costs.model_bytes(SMALL, "Q8_0")
    assert costs.model_bytes(LLAMA3, "Q4_K_M") < costs.model_bytes(LLAMA3, "Q5_0")


def test_rows_that_are_no_multiple_of_32_stay_in_sixteen_bits():
    odd = Type("model", facts={**SMALL.facts, "hidden": 580.0, "params": 140e6})
    assert costs.model_bytes(odd, "Q4_0") > 1.5 * costs.model_bytes(SMALL, "Q4_0")


def test_small_value_matrices_of_deep_models_are_stored_better():
    # llama.cpp, tools/quantize/README.md: 43.1 GB
    assert costs.model_bytes(costs.model_shape("Llama-3.1-70B"), "Q4_K_M") / 1e9 == pytest.approx(43.1, rel=0.02)


def test_without_a_shape_the_published_bits_count():
    bare = Type("model", facts={"params": 8e9})
    assert costs.model_bytes(bare, "Q4_K_M") == pytest.approx(8e9 * 4.8944 / 8)
