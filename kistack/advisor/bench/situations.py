"""What a published row says, as the cost model needs it: shape, precision, device, runtime, lengths, training recipe.

Sources leave much unsaid that their benchmark scripts fix for all of their rows: ``_PROTOCOLS`` names it per source,
with the place where it stands. It speaks of how they measured, not of what they found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from kistack.advisor.bench.devices import Device, find_device
from kistack.advisor.bench.rows import Row
from kistack.domain.artifacts import Type
from kistack.errors import InputError
from kistack.plugins.costs import BITS, Recipe, lora_params, model_shape, training_peak_bytes


class Inexpressible(ValueError):
    """A row that the cost model has no words for; the message says which."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a source measured what its rows do not say.

    ``prompt`` and ``new`` are tokens; ``timed_prompt``: whether a rate at a stated prompt counts the time to read it.
    ``batch`` and ``sequence`` are of trainings; ``optimizer``, ``master`` and ``fused`` as in ``Recipe``; ``precision``
    is that of trainings which name none; ``rank`` and ``targets`` are those of adapters. ``spares``: cards with no more
    memory than this recompute activations, larger ones only where they must.
    """

    prompt: int = 1
    new: int = 256
    timed_prompt: bool = False
    batch: int = 1
    sequence: int = 512
    optimizer: str = "adamw"
    master: bool = True
    fused: bool = False
    precision: str = "bf16"
    rank: int = 16
    targets: str = "all-linear"
    spares: float = 0.0
    head_quantized: bool = False
    runtime: str = ""


_PROTOCOLS = (
    # "generating 2048 tokens with the input lengths of …", so the rate counts the prompt. Notes of that page.
    ("speed_benchmark", Protocol(new=2048, timed_prompt=True)),
    # Five tokens of prompt, 200 new ones, every linear layer quantized, compiled. gpt-fast README and generate.py.
    ("gpt-fast", Protocol(prompt=5, new=200, head_quantized=True, runtime="compiled")),
    ("pytorch/ao", Protocol(prompt=5, new=200, head_quantized=True, runtime="compiled")),
    # torchtune README: compiled, packed; configs/llama3_1: bf16, paged 8-bit Adam, LoRA of rank 8 on q and v; recipes
    # for cards of 24 GB recompute activations.
    (
        "torchtune",
        Protocol(
            optimizer="paged",
            master=False,
            fused=True,
            rank=8,
            targets="q_proj,v_proj",
            spares=26e9,
            batch=2,
            sequence=2048,
        ),
    ),
    # PEFT README, memory table: fp32 base, Adam, LoRA of rank 8 on q and v, 8 tweets of some 64 tokens
    # (examples/conditional_generation).
    (
        "huggingface/peft",
        Protocol(batch=8, sequence=64, precision="fp32", rank=8, targets="q_proj,v_proj"),
    ),
)

#: Precisions in the words of sources; the first pattern that fits counts. GGUF types are told by name before.
_PRECISIONS = (
    (r"gptq[- _]?int8", "gptq-int8"),
    (r"gptq[- _]?int4|gptq", "gptq-int4"),
    (r"\bawq\b|w4a16", "awq"),
    (r"int8dq|int8[- ]dq", "torchao-int8-dynamic"),
    (r"int8wo", "torchao-int8"),
    (r"int4wo[- ]?(32|64|128|256)", r"torchao-int4-g\1"),
    (r"(?:int4|4[- ]bit)\s*\(?g(?:roup)?\s*=?\s*(32|64|128)", r"int4-g\1"),
    (r"int8 dynamic|dynamic int8", "int8-dynamic"),
    (r"qlora|nf4[- ]dq|double quant", "nf4-dq"),
    (r"\bnf4\b", "nf4"),
    (r"\bint8\b|\b8[- ]bit\b(?! adam)", "int8"),
    (r"\bint4\b|\b4[- ]bit\b", "int4"),
    (r"\bfp8\b", "fp8"),
    (r"\bbf16\b|bfloat16", "bf16"),
    (r"\bfp16\b|\bf16\b|float16|\bhalf\b", "fp16"),
    (r"\bfp32\b|\bf32\b|float32", "fp32"),
)
_GGUF = re.compile(r"\b(?:i?q\d(?:_[0-9a-z]+)+)\b")

#: Room that whoever chooses a recipe leaves for the allocator's fragments.
_SPARE = 1.1

_METHODS = ((r"qlora", "qlora"), (r"lora", "lora"), (r"\bqat\b", "qat"), (r"full|fine-?tun", "full"))

_NUMBER = r"\s*[=~:]?\s*(\d[\d,]*(?:\.\d+)?)\s*(k\b)?"
_LENGTHS = {
    "batch": re.compile(r"(?:\bbs|\bbatch(?: size)?)" + _NUMBER),
    "sequence": re.compile(r"\bseq(?:uence)?(?: ?len(?:gth)?)?" + _NUMBER),
    "prompt": re.compile(r"(?:\bctx|\bcontext|\binput|\bprompt)(?: of| length)?" + _NUMBER),
    "processed": re.compile(r"\bpp" + _NUMBER),
    "tokens": re.compile(r"\b(\d[\d,]*)\s*(k)?\s*tokens\b"),
}
_SEVERAL = re.compile(r"\b(?:[2-9]|\d\d+)\s?x\s|\b(?:[2-9]|\d\d+) (?:gpus|cards|devices)")


@dataclass(frozen=True, slots=True)
class Situation:
    """One row, read. ``device`` is None where the row names none; ``around`` is a mean context, not a prompt."""

    model: Type
    precision: str
    device: Device | None
    runtime: str
    protocol: Protocol
    prompt: float
    around: bool
    batch: float
    words: str

    def length(self, name: str) -> float | None:
        """A number that the row states: ``batch``, ``sequence``, ``prompt``, ``processed``, ``tokens``."""
        return _length(name, self.words)


def read_row(row: Row) -> Situation:
    """What the row says.

    Raises:
        Inexpressible: its model, precision or device is not known, or it speaks of several devices.

    """
    words = row.words.lower()
    if _SEVERAL.search(words):
        raise Inexpressible("it runs on several devices")
    try:
        model = model_shape(row.model)
    except InputError as error:
        raise Inexpressible(error.message) from error
    source = row.source.lower()
    protocol = next((p for mark, p in _PROTOCOLS if mark in source), Protocol())
    precision = _precision(row.config.lower(), protocol) or _precision(words, protocol)
    prompt = _length("prompt", words)
    return Situation(
        model=model,
        precision=precision or _stated_by_method(words, protocol),
        device=find_device(row.hardware) or find_device(row.config),
        runtime=protocol.runtime or _runtime(f"{words} {source}"),
        protocol=protocol,
        prompt=protocol.prompt if prompt is None else prompt,
        around=bool(re.search(r"(?:ctx|context)\s*~", words)),
        batch=_length("batch", words) or 1.0,
        words=words,
    )


def _length(name: str, words: str) -> float | None:
    found = _LENGTHS[name].search(words)
    return None if found is None else float(found[1].replace(",", "")) * (1000 if found[2] else 1)


def _precision(words: str, protocol: Protocol) -> str:
    for found in _GGUF.finditer(words):
        if found[0] in BITS:
            return found[0]
    for pattern, name in _PRECISIONS:
        if match := re.search(pattern, words):
            plain = match.expand(name)
            quantized_whole = f"torchao-{plain}"
            return quantized_whole if protocol.head_quantized and quantized_whole in BITS else plain
    return ""


def _stated_by_method(words: str, protocol: Protocol) -> str:
    if any(re.search(pattern, words) for pattern, _ in _METHODS):
        return protocol.precision
    raise Inexpressible("it names no precision that is known")


def _runtime(words: str) -> str:
    if "vllm" in words:
        return "server"
    return "eager" if "transformers" in words else "compiled"


def recipe_of(it: Situation) -> Recipe:
    """The training that a row speaks of.

    Raises:
        Inexpressible: its method is not known.

    """
    method = next((name for pattern, name in _METHODS if re.search(pattern, it.words)), "")
    if not method:
        raise Inexpressible("it names no method of training that is known")
    how, words = it.protocol, it.words
    adapts = method in {"lora", "qlora"}
    sequence = it.length("sequence") or how.sequence
    batch = it.length("batch") or how.batch
    paged, small = "paged" in words, re.search(r"8[- ]?bit adam|adamw?[- ]?8[- ]?bit", words)
    optimizer = "paged" if paged else "adamw-8bit" if small else how.optimizer
    recipe = Recipe(
        trainable=lora_params(it.model, how.rank, how.targets) if adapts else it.model.fact("params"),
        batch_tokens=batch * sequence,
        precision="nf4-dq" if method == "qlora" else it.precision,
        checkpointing="checkpointing" in words and "no checkpointing" not in words,
        fused=how.fused or "compiled" in words,
        optimizer="adamw" if adapts else optimizer,
        master=how.master and "pure bf16" not in words,
        in_backward="low-mem" in words or "in backward" in words,
        fake_quantized=method == "qat",
    )
    if how.spares and it.device is not None and "checkpointing" not in words:
        room = it.device.memory / _SPARE
        needs = it.device.memory <= how.spares or training_peak_bytes(it.model, recipe) > room
        recipe = replace(recipe, checkpointing=needs)
    return recipe
