"""For tests of retrievers: a sentence embedder of random weights, as sentence-transformers saves one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

#: Words that its tokenizer knows whole; others it spells.
WORDS = (  # noqa: SIM905 - easier to read
    "the latest release of php python django node support for ends on may june is 8 1 29 3 11 12 2027 10 31 "
    "paris river king castle old new red blue green one two three four five six seven eight nine ten"
).split()

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,!?"
_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
#: Tokens that it reads at most, special ones included.
_LENGTH = 48


def tiny_embedder(
    folder: Path,
    *,
    pooling: Mapping[str, Any] | None = None,
    dense: bool = False,
    normalise: bool = True,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a BERT of random weights with a word tokenizer; returns ``folder``.

    ``pooling`` is the content of the pooling module's config (default: the mean of the tokens), ``dense`` puts a layer
    of 8 behind it, ``config`` replaces parts of the shape (hidden 32, 2 layers).
    """
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(BertConfig(vocab_size=len(tokenizer), **{**_SHAPE, **config}))
        layer = torch.nn.Linear(32, 8)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    _write(folder / "1_Pooling/config.json", pooling or {"pooling_mode": "mean", "embedding_dimension": 32})
    if dense:
        modules.append(("2_Dense", "Dense"))
        shape = {"in_features": 32, "out_features": 8, "bias": True, "activation_function": "torch.nn.Tanh"}
        _write(folder / "2_Dense/config.json", shape)
        weights = {"linear.weight": layer.weight.data, "linear.bias": layer.bias.data}
        save_file(weights, folder / "2_Dense/model.safetensors")
    if normalise:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
    listed = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(modules)
    ]
    _write(folder / "modules.json", listed)
    for path, _ in modules:
        (folder / path).mkdir(exist_ok=True)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": _LENGTH, "do_lower_case": False})
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    letters = [f"{mark}{letter}" for mark in ("", "##") for letter in _LETTERS]
    vocabulary = {token: n for n, token in enumerate(dict.fromkeys([*_SPECIALS, *letters, *WORDS]))}
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a token of text, not a secret
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        model_max_length=_SHAPE["max_position_embeddings"],
    )


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
