"""Shapes and machines that tests of costs share."""

from kistack.domain.artifacts import Type
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
