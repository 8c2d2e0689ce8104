"""From a GGUF file to a Hugging Face folder. Heavy: imported only inside ``run``."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from kistack_torch.devices import DTYPES
from kistack_torch.models import save_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedTokenizerFast

from kistack.errors import ModelError
from kistack_transformers import vocabulary
from kistack_transformers.gguf_files import TOKENS
from kistack_transformers.header import Header, read_header

#: Splitting rules that set every digit apart before the GPT-2 pattern is applied, by llama.cpp's name for them.
#: transformers knows them not and would split digits off only where no merge joins them. Source: llama.cpp,
#: src/llama-vocab.cpp.
_DIGITS_APART = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})


def convert(path: Path, out: Path, precision: str) -> None:
    """Write the model in ``path`` and its tokenizer to the folder ``out``, weights as ``precision``.

    Raises:
        ModelError: an architecture or tokenizer that transformers cannot read from GGUF.

    """
    header = read_header(path, (TOKENS,))
    tokenizer = load_tokenizer(path, header)
    try:
        # its bar over the tensors cannot be switched off, and would litter the worker's log
        with contextlib.redirect_stderr(io.StringIO()):
            model = AutoModelForCausalLM.from_pretrained(
                str(path.parent),
                gguf_file=path.name,
                dtype=DTYPES[precision],
                local_files_only=True,
                trust_remote_code=False,
                # said outright: else it looks for matrix kernels, which may be sought on the hub
                quantization_config=GgufConfig(dequantize=True),
            )
    except (OSError, ValueError, KeyError, RuntimeError) as e:
        raise ModelError(
            f"{path}: architecture {header.architecture!r} cannot be converted ({e})",
            "name a Hugging Face folder of that model instead",
        ) from e
    _forget_quantization(model)
    # a path of this machine would make the same weights differ elsewhere
    model.config._name_or_path = ""  # noqa: SLF001 - transformers has no public name for it
    save_model(model.to(DTYPES[precision]), tokenizer, out)
    if vocabulary.of_folder(out) != vocabulary.of_tokens(header.metadata[TOKENS]):
        raise ModelError(
            f"{path}: its tokenizer cannot be rebuilt exactly (token ids would shift)",
            "name a Hugging Face folder of that model instead",
        )


def load_tokenizer(path: Path, header: Header) -> Any:
    """The tokenizer in a GGUF file.

    Not through ``AutoTokenizer``, which parses the whole file a second time to learn the architecture (20 s).
    """
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(
            str(path.parent), gguf_file=path.name, local_files_only=True
        )
    except BaseException as e:
        # merges that make no token panic in the tokenizers library, whose panics are no Exceptions
        if not isinstance(e, (OSError, ValueError, KeyError, TypeError)) and type(e).__name__ != "PanicException":
            raise
        raise ModelError(f"{path}: its tokenizer cannot be read ({e})", "name a Hugging Face folder instead") from e
    kind, rule = (header.metadata.get(f"tokenizer.ggml.{n}", "") for n in ("model", "pre"))
    if kind == "gpt2" and rule in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    for name in ("is_local", "local_files_only"):
        # how it was read says nothing about the tokenizer, yet would be saved with it
        tokenizer.init_kwargs.pop(name, None)
    context = int(header.number("context_length"))
    if context:
        tokenizer.model_max_length = context
    return tokenizer


def _forget_quantization(model: Any) -> None:
    """Plain weights still carry the quantizer they were read with, and saving refuses them for it."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
