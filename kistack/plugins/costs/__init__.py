"""Costs by formula: bytes, seconds, memory and money of models on machines. Pure, fast, the same for every command.

Constants stand beside their source. "Measured" means measured by this project on a 2-core x86-64 machine (AVX-512,
bf16) with a 135 M parameter Llama-family model, torch 2.13 and llama.cpp: absolute times wander by some ten percent.
All sizes are bytes, all times seconds, all rates per second, all prices US dollars.
"""

from kistack.plugins.costs.gguf import file_bytes
from kistack.plugins.costs.machines import Machine, machine
from kistack.plugins.costs.memory import (
    GGUF_TOKEN_BYTES,
    WORKER_BYTES,
    inference_peak_bytes,
    kv_cache_bytes,
    model_bytes,
    prompt_bytes,
    read_bytes,
    worker_bytes,
)
from kistack.plugins.costs.models import model_shape, model_shapes
from kistack.plugins.costs.money import machine_dollars, token_dollars
from kistack.plugins.costs.precision import BITS, LAYOUTS, Layout, bits, is_gguf, is_quantized
from kistack.plugins.costs.retrieval import (
    embed_seconds,
    flat_index_bytes,
    flat_query_seconds,
    hnsw_index_bytes,
    hnsw_query_seconds,
)
from kistack.plugins.costs.shapes import (
    depth,
    embedding_params,
    is_shaped,
    key_width,
    layer_matrices,
    layer_params,
    linear_params,
    untied_params,
)
from kistack.plugins.costs.speed import (
    Overhead,
    answer_seconds,
    decode_seconds,
    eager_overhead,
    interpolate,
    prefill_seconds,
    runtime_overhead,
)
from kistack.plugins.costs.training import (
    Recipe,
    activation_bytes,
    distill_seconds,
    fake_quantized_seconds,
    launch_seconds,
    lora_params,
    train_peak_bytes,
    train_seconds,
    training_peak_bytes,
)

__all__ = [
    "BITS",
    "GGUF_TOKEN_BYTES",
    "LAYOUTS",
    "WORKER_BYTES",
    "Layout",
    "Machine",
    "Overhead",
    "Recipe",
    "activation_bytes",
    "answer_seconds",
    "bits",
    "decode_seconds",
    "depth",
    "distill_seconds",
    "eager_overhead",
    "embed_seconds",
    "embedding_params",
    "fake_quantized_seconds",
    "file_bytes",
    "flat_index_bytes",
    "flat_query_seconds",
    "hnsw_index_bytes",
    "hnsw_query_seconds",
    "inference_peak_bytes",
    "interpolate",
    "is_gguf",
    "is_quantized",
    "is_shaped",
    "key_width",
    "kv_cache_bytes",
    "launch_seconds",
    "layer_matrices",
    "layer_params",
    "linear_params",
    "lora_params",
    "machine",
    "machine_dollars",
    "model_bytes",
    "model_shape",
    "model_shapes",
    "prefill_seconds",
    "prompt_bytes",
    "read_bytes",
    "runtime_overhead",
    "token_dollars",
    "train_peak_bytes",
    "train_seconds",
    "training_peak_bytes",
    "untied_params",
    "worker_bytes",
]
