"""Memory and time of training: all weights, adapters on plain or quantized ones, distillation, quantization-aware."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from kistack.domain.artifacts import Type
from kistack.errors import InputError
from kistack.plugins.costs.machines import Machine
from kistack.plugins.costs.memory import WORKER_BYTES, model_bytes, prompt_bytes
from kistack.plugins.costs.shapes import depth, embedding_params, key_width, layer_matrices, linear_params

#: Bytes per trained parameter of the optimizer's state on the device: two moments in fp32 or in 8 bits, or paged to the
#: host. Sources: Transformer Math 101; bitsandbytes (8-bit and paged AdamW).
_STATE_BYTES = MappingProxyType({"adamw": 8.0, "adamw-8bit": 2.0, "paged": 0.0})
#: Gradients of mixed precision gather in fp32. Source: Hugging Face, model memory anatomy (18 B per parameter in all).
_GRADIENT_BYTES, _MASTER_BYTES = 4.0, 4.0
#: Adam in fp32: weight, gradient and two moments of every parameter of an adapter. Source: Transformer Math 101.
_ADAM_BYTES = 16.0
#: Logits, their gradient and two temporaries of cross-entropy, in fp32. Measured.
_LOGIT_COPIES = 4.0
#: A loss that forms logits in chunks holds one of this many at once. Source: torchtune, CEWithChunkedOutputLoss.
_LOSS_CHUNKS = 8

#: Numbers kept per token and layer by eager PyTorch, as multiples of the hidden and the MLP's width: norms (in fp32),
#: projections and their adapters; gate, up, their product and its inputs. Source: Korthikanti et al., arXiv:2205.05198,
#: with SwiGLU and LoRA counted as transformers keeps them. Without a gate there are two fewer of the MLP's.
_EAGER_HIDDEN, _EAGER_GATED, _EAGER_PLAIN = 21.0, 5.0, 3.0
#: Compiled, what no kernel can compute again on the way back: the norms' inputs and the first's output, what attention
#: reads and gives, gate and up; trained matrices need their own inputs too. Source: the same paper's terms; torchtune's
#: README (Llama-3.1-8B, LoRA, 4,096 tokens without recomputation: 30.3 GiB, of which 15 are the base).
_FUSED_HIDDEN, _FUSED_GATED = 3.0, 2.0

#: Share of the peak matrix product that training reaches. CPU measured (LoRA, 160 tokens/s fp32, 230 bf16); GPU:
#: 120-180 of 312 TFLOP/s per A100 (EleutherAI, Transformer Math 101), with compiled kernels 54-57 % (Korthikanti et
#: al., arXiv:2205.05198, table 5).
_TRAIN_GPU, _TRAIN_FUSED, _TRAIN_FP32, _TRAIN_BF16 = 0.45, 0.55, 0.26, 0.19
#: Seconds per layer in which eager PyTorch launches the kernels of one micro-batch, there and back. Measured on one
#: H200 (16 virtual cores): LoRA on all matrices of 24 layers, 1,204 tokens at once, 182 ms, of which 25 are arithmetic.
_LAUNCHES_GPU = 7.6e-3
#: Quantization-aware training takes this many times as long as plain full training. Source: PyTorch blog,
#: Quantization-Aware Training for Large Language Models with PyTorch, 2024 (Llama3-8B on A100: 34 % slower).
_FAKE_QUANTIZATION = 1.34


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the memory of a training, beside the model.

    Args:
        trainable: how many numbers are trained; as many as the model has, or an adapter's.
        batch_tokens: tokens computed at once.
        precision: number format of the weights; a quantized one only under an adapter.
        checkpointing: whether activations are computed twice instead of kept.
        fused: compiled kernels, and a loss that forms logits in chunks.
        logit_tokens: positions whose logits exist at once (default: all, or one chunk where fused).
        optimizer: ``adamw``, ``adamw-8bit``, ``paged`` (8-bit moments in the host's memory).
        master: whether 16-bit weights are trained through a copy in fp32 (mixed precision).
        in_backward: each matrix is updated as soon as its gradient is there, which is then dropped.
        fake_quantized: quantization-aware: a rounded copy of each matrix is kept for the backward pass.
        teacher: a model that answers beside the student; None where there is none or its signals were recorded.
        teacher_precision: how the teacher is stored.

    """

    trainable: float
    batch_tokens: float
    precision: str = "bf16"
    checkpointing: bool = False
    fused: bool = False
    logit_tokens: float | None = None
    optimizer: str = "adamw"
    master: bool = True
    in_backward: bool = False
    fake_quantized: bool = False
    teacher: Type | None = None
    teacher_precision: str = "bf16"

    @property
    def width(self) -> float:
        """Bytes of one number in activations."""
        return 4.0 if self.precision.lower() == "fp32" else 2.0


def training_peak_bytes(model: Type, recipe: Recipe) -> float:
    """Peak memory on the device of one training step; the worker's own memory on a CPU is not in it."""
    adapts = recipe.trainable < model.fact("params")
    weights = _adapted_bytes(model, recipe) if adapts else _trained_bytes(model, recipe)
    activations = activation_bytes(
        model,
        recipe.batch_tokens,
        recipe.width,
        checkpointing=recipe.checkpointing,
        fused=recipe.fused,
        frozen=adapts,
    )
    return weights + activations + _logit_bytes(model, recipe) + _teacher_bytes(recipe)


def _adapted_bytes(model: Type, recipe: Recipe) -> float:
    return model_bytes(model, recipe.precision) + recipe.trainable * _ADAM_BYTES


def _trained_bytes(model: Type, recipe: Recipe) -> float:
    params, width = model.fact("params"), recipe.width
    mixed = recipe.master and width < _MASTER_BYTES
    weights = params * (width + (_MASTER_BYTES if mixed else 0.0))
    gradient = _GRADIENT_BYTES if mixed else width
    held = max(embedding_params(model), *(a * b for a, b in layer_matrices(model).values()))
    gradients = gradient * (held if recipe.in_backward else params)
    rounded = width * linear_params(model) if recipe.fake_quantized else 0.0
    return weights + gradients + params * _STATE_BYTES[recipe.optimizer] + rounded


def _logit_bytes(model: Type, recipe: Recipe) -> float:
    tokens = recipe.batch_tokens if recipe.logit_tokens is None else recipe.logit_tokens
    if recipe.fused:
        if recipe.logit_tokens is None:
            tokens /= _LOSS_CHUNKS
        return tokens * model.fact("vocab") * (recipe.width + 8)
    return tokens * model.fact("vocab") * 4 * _LOGIT_COPIES


def _teacher_bytes(recipe: Recipe) -> float:
    if recipe.teacher is None:
        return 0.0
    tokens = recipe.batch_tokens if recipe.logit_tokens is None else recipe.logit_tokens
    reading = recipe.batch_tokens * prompt_bytes(recipe.teacher, 2) + tokens * recipe.teacher.fact("vocab") * 4
    return model_bytes(recipe.teacher, recipe.teacher_precision) + reading


def train_peak_bytes(
    model: Type,
    trainable: float,
    batch_tokens: float,
    sequence: float,
    precision: str,
    checkpointing: bool = False,
    logit_tokens: float | None = None,
) -> float:
    """Peak memory of a worker that trains ``trainable`` parameters with ``batch_tokens`` in sequences of ``sequence``.

    Worker + weights + 16 bytes per trained parameter (18 with a 16-bit copy) + activations + logits + attention mask.
    ``logit_tokens`` are the positions whose logits exist at once (default: all of the batch; less where the loss looks
    only at answers or runs in chunks). On a GPU the worker's own memory is not on the device: subtract
    ``WORKER_BYTES``.
    """
    recipe = Recipe(trainable, batch_tokens, precision, checkpointing, logit_tokens=logit_tokens)
    return WORKER_BYTES + training_peak_bytes(model, recipe) + batch_tokens * sequence * recipe.width


def activation_bytes(
    model: Type,
    batch_tokens: float,
    width: float,
    *,
    checkpointing: bool = False,
    fused: bool = False,
    frozen: bool = True,
) -> float:
    """Bytes of the activations kept for the backward pass; ``width`` bytes a number.

    Fused attention keeps no weights. With checkpointing the layers' inputs and one layer's activations. ``frozen``
    (only adapters are trained) saves the inputs of the matrices where kernels are compiled (``fused``). Of an
    encoder-decoder the encoder counts, which all of the tokens pass.
    """
    hidden, ffn, gated = model.fact("hidden"), model.fact("ffn"), bool(model.fact("gated", 1.0))
    if fused:
        heads = max(1.0, model.fact("heads", 1.0))
        queries = heads * (model.fact("head_dim") or hidden / heads)
        numbers = _FUSED_HIDDEN * hidden + 2 * queries + 2 * key_width(model)
        numbers += (_FUSED_GATED if gated else 1.0) * ffn + (0.0 if frozen else hidden + ffn)
    else:
        numbers = _EAGER_HIDDEN * hidden + (_EAGER_GATED if gated else _EAGER_PLAIN) * ffn
    layer = batch_tokens * width * numbers
    layers = depth(model)
    return batch_tokens * width * hidden * layers + layer if checkpointing else layers * layer


def lora_params(model: Type, rank: int, targets: str = "all-linear") -> float:
    """Parameters of a LoRA adapter: rank · (inputs + outputs) of every adapted projection of every layer.

    ``targets``: ``all-linear``, ``attention``, ``mlp``, or names joined by commas (``q_proj,v_proj``). Source: LoRA,
    arXiv:2106.09685.

    Raises:
        InputError: a name that is no projection of the layer.

    """
    shapes = layer_matrices(model)
    groups = {
        "all-linear": tuple(shapes),
        "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
        "mlp": tuple(n for n in shapes if n in {"gate_proj", "up_proj", "down_proj"}),
    }
    names = groups.get(targets) or tuple(t.strip() for t in targets.split(",") if t.strip())
    unknown = [n for n in names if n not in shapes]
    if unknown or not names:
        raise InputError(
            f"unknown projections {', '.join(unknown) or targets!r}", f"use {', '.join([*groups, *shapes])}"
        )
    layers = model.fact("layers") + model.fact("encoder_layers")
    return layers * rank * sum(sum(shapes[n]) for n in names)


def train_seconds(  # noqa: PLR0913 - each of them decides the time
    params: float,
    trainable: float,
    tokens: float,
    m: Machine,
    precision: str,
    efficiency: float | None = None,
    *,
    checkpointing: bool = False,
    fused: bool = False,
) -> float:
    """Seconds to train on ``tokens`` (all tokens over all epochs).

    Full training takes 6·N FLOPs per token (2 forward, 4 backward); adapters 4·N + 6·N_adapter, because the frozen
    weights need no gradient of their own; computing activations twice 2·N more. Sources: Transformer Math 101; Thinking
    Machines, LoRA Without Regret (slightly more than two thirds). ``fused``: compiled kernels, which count on a
    GPU.
    """
    per_token = 6 * params if trainable >= params else 4 * params + 6 * trainable
    if efficiency is None and fused and m.gpus:
        efficiency = _TRAIN_FUSED
    return (per_token + 2 * params * checkpointing) * tokens / _trained_per_second(m, precision, efficiency)


def launch_seconds(model: Type, micro_batches: float, m: Machine) -> float:
    """Seconds in which eager PyTorch launches the kernels of a training on a GPU; arithmetic runs beside it.

    The longer of the two is what training takes. 0 on a processor, where nothing is launched.
    """
    return micro_batches * depth(model) * _LAUNCHES_GPU if m.gpus else 0.0


def _trained_per_second(m: Machine, precision: str, efficiency: float | None) -> float:
    peak, fast = m.matrix_product(precision.lower())
    if efficiency is None:
        efficiency = _TRAIN_GPU if m.gpus else (_TRAIN_BF16 if fast else _TRAIN_FP32)
    return efficiency * peak


def distill_seconds(
    student: float, teacher: float, tokens: float, m: Machine, precision: str, efficiency: float | None = None
) -> float:
    """Seconds to train a student of so many parameters on ``tokens`` while a teacher reads them too.

    (2·N_teacher + 6·N_student) FLOPs a token; with ``teacher`` 0 its signals were recorded before (once 2·N_teacher a
    token, however many epochs follow). Source: the 6·N rule applied to both.
    """
    return (2 * teacher + 6 * student) * tokens / _trained_per_second(m, precision, efficiency)


def fake_quantized_seconds(params: float, tokens: float, m: Machine, precision: str) -> float:
    """Seconds of quantization-aware training of all weights on ``tokens``: a third more than plain training."""
    return _FAKE_QUANTIZATION * train_seconds(params, params, tokens, m, precision)
