import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import LLAMA3

from kistack.errors import InputError
from kistack.plugins import costs


def test_unknown_precision_names_close_ones():
    with pytest.raises(InputError) as caught:
        costs.bits("Q4_K_N")
    assert "q4_k_m" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("precision", "bits"),
    # QLoRA, arXiv:2305.14314 (0.5 bits of constants, 0.127 with double quantization); group arithmetic for the others
    [("nf4", 4.5), ("nf4-dq", 4.127), ("int4-g64", 4.5), ("gptq-int4", 4 + 20 / 128), ("torchao-int4-g32", 5)],
)
def test_group_overhead(precision, bits):
    assert costs.bits(precision) == pytest.approx(bits, abs=1e-3)


@given(st.sampled_from(sorted(costs.BITS)))
def test_no_precision_takes_more_than_its_bits_or_less_than_one_and_a_half(precision):
    size = costs.model_bytes(LLAMA3, precision)
    assert 1.5 * LLAMA3.fact("params") / 8 < size <= 4 * LLAMA3.fact("params") * 1.001
    assert costs.is_quantized(precision) == (size < 0.99 * costs.model_bytes(LLAMA3, "bf16"))
    assert costs.bits(precision.upper()) == costs.bits(precision)
