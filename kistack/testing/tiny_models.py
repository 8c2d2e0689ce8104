"""Model folders of a few hundred kilobytes, written without any machine-learning library.

Their weights are random, their files are those of real models: whatever opens Hugging Face folders opens these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact

#: ``<|endoftext|>`` pads, ``<|im_start|>`` and ``<|im_end|>`` enclose a turn, as in SmolLM2 and Qwen.
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HIDDEN, _HEADS, _KV_HEADS, _FFN, _CONTEXT = 32, 4, 2, 64, 512
#: Merges of the byte-level vocabulary: some runtimes refuse one without any.
_MERGES = (("t", "h"), ("th", "e"), ("r", "e"), ("e", "d"))
_WORDS = "the bridge of is painted which colour has what weather ? . red blue green black white grey brown pink"
#: Words that tell one tiny document from another: each has a direction of its own in the tiny encoder.
_TELLING = "aar bex cham davos egg 1 2 3 4 5 6 7 8"


def tiny_llama(folder: Path, *, layers: int = 4, seed: int = 0) -> Artifact:
    """A llama of random fp32 weights with a byte-level tokenizer, in the empty ``folder``: kind model, format hf."""
    import numpy as np

    tokens = [*_SPECIAL, *_byte_alphabet(), *(a + b for a, b in _MERGES)]
    draw = np.random.default_rng(seed)
    narrow = _HIDDEN // _HEADS * _KV_HEADS
    shapes = {"model.embed_tokens.weight": (len(tokens), _HIDDEN), "lm_head.weight": (len(tokens), _HIDDEN)}
    for n in range(layers):
        at = f"model.layers.{n}."
        shapes |= {
            f"{at}self_attn.q_proj.weight": (_HIDDEN, _HIDDEN),
            f"{at}self_attn.k_proj.weight": (narrow, _HIDDEN),
            f"{at}self_attn.v_proj.weight": (narrow, _HIDDEN),
            f"{at}self_attn.o_proj.weight": (_HIDDEN, _HIDDEN),
            f"{at}mlp.gate_proj.weight": (_FFN, _HIDDEN),
            f"{at}mlp.up_proj.weight": (_FFN, _HIDDEN),
            f"{at}mlp.down_proj.weight": (_HIDDEN, _FFN),
        }
    # Drawn wide, so that the next token is rarely a near tie.
    tensors = {name: draw.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = ["model.norm.weight"]
    for n in range(layers):
        norms += [f"model.layers.{n}.{part}.weight" for part in ("input_layernorm", "post_attention_layernorm")]
    tensors |= {name: np.ones(_HIDDEN, np.float32) for name in norms}
    # Bytes that are no text of their own are never the next token, so that every answer survives being written down.
    for number, token in enumerate(tokens):
        if number < len(_SPECIAL) or not (token.isascii() and token.isalnum()):
            tensors["lm_head.weight"][number] = 0.0
    size = write_safetensors(folder / "model.safetensors", tensors)
    _write(folder / "config.json", _llama_config(layers, len(tokens)))
    _write(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _write_tokenizer(folder, tokens)
    (folder / "LICENSE").write_text("Public domain.\n", encoding="utf-8")
    facts = {"params": sum(t.size for t in tensors.values()), "layers": layers, "hidden": _HIDDEN, "heads": _HEADS}
    facts |= {"kv_heads": _KV_HEADS, "head_dim": _HIDDEN // _HEADS, "ffn": _FFN, "vocab": len(tokens)}
    facts |= {"context": _CONTEXT, "bytes": size + sum(f.stat().st_size for f in folder.glob("*.json"))}
    facets = {"precision": "fp32", "family": "llama", "vocabulary": "tiny-bytes"}
    return Artifact("model", "hf", folder, "", f"tiny-llama-{layers}-{seed}", facets, _floats(facts))


def tiny_encoder(folder: Path, *, seed: int = 0) -> Artifact:
    """A sentence-transformers folder: a BERT of two layers with words for tokens, mean pooling, 32 dimensions.

    Its layers add nothing, so that a text is the mean of its words: texts that share telling words are near.
    """
    import numpy as np

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    words = dict.fromkeys([*special, *_WORDS.split(), *_TELLING.split(), *letters, *(f"##{c}" for c in letters)])
    vocabulary = {word: number for number, word in enumerate(words)}
    tensors = _bert_weights(np, vocabulary, seed)
    size = write_safetensors(folder / "model.safetensors", {n: t.astype(np.float32) for n, t in tensors.items()})
    _write(folder / "config.json", _bert_config(len(vocabulary)))
    _write(folder / "tokenizer.json", _word_pieces(vocabulary))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    )
    _write_pooling(folder)
    facts = {"params": sum(t.size for t in tensors.values()), "layers": 2, "hidden": _HIDDEN, "heads": 2}
    facts |= {"kv_heads": 2, "head_dim": 16, "ffn": _FFN, "vocab": len(vocabulary), "context": 64, "bytes": size}
    facets = {"precision": "fp32", "family": "bert", "vocabulary": "tiny-words"}
    return Artifact("embedder", "sentence-transformers", folder, "", f"tiny-encoder-{seed}", facets, _floats(facts))


def _llama_config(layers: int, vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "intermediate_size": _FFN,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "head_dim": _HIDDEN // _HEADS,
        "max_position_embeddings": _CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "dtype": "float32",
    }


def _bert_config(vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": _FFN,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "dtype": "float32",
    }


def _bert_weights(np: Any, vocabulary: Mapping[str, int], seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    tensors = {
        "embeddings.word_embeddings.weight": draw.normal(0, 0.2, (len(vocabulary), _HIDDEN)),
        "embeddings.position_embeddings.weight": np.zeros((64, _HIDDEN)),
        "embeddings.token_type_embeddings.weight": np.zeros((2, _HIDDEN)),
        **_norm(np, "embeddings.LayerNorm"),
    }
    telling = _TELLING.split()
    vectors = tensors["embeddings.word_embeddings.weight"]
    vectors[:, : len(telling)] = 0
    for place, word in enumerate(telling):
        vectors[vocabulary[word]] = np.eye(_HIDDEN)[place]
    for n in range(2):
        at = f"encoder.layer.{n}."
        tensors |= _norm(np, f"{at}attention.output.LayerNorm") | _norm(np, f"{at}output.LayerNorm")
        for part, (rows, columns) in {
            "attention.self.query": (_HIDDEN, _HIDDEN),
            "attention.self.key": (_HIDDEN, _HIDDEN),
            "attention.self.value": (_HIDDEN, _HIDDEN),
            "attention.output.dense": (_HIDDEN, _HIDDEN),
            "intermediate.dense": (_FFN, _HIDDEN),
            "output.dense": (_HIDDEN, _FFN),
        }.items():
            silent = part.endswith("output.dense")
            tensors[f"{at}{part}.weight"] = draw.normal(0, 0.0 if silent else 0.2, (rows, columns))
            tensors[f"{at}{part}.bias"] = np.zeros(rows)
    return tensors


def write_safetensors(path: Path, tensors: Mapping[str, Any]) -> int:
    """Write numpy arrays (fp32 or fp16) as safetensors; returns the bytes of the file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, tensor in tensors.items():
        dtype = {"float32": "F32", "float16": "F16"}[tensor.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [place, place + tensor.nbytes]}
        place += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())
    return path.stat().st_size


def _norm(np: Any, name: str) -> dict[str, Any]:
    return {f"{name}.weight": np.ones(_HIDDEN), f"{name}.bias": np.zeros(_HIDDEN)}


def _byte_alphabet() -> list[str]:
    """The printable characters that stand for the 256 bytes in byte-level vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(extra)) for b in range(256)]


def _write_tokenizer(folder: Path, tokens: list[str]) -> None:
    added = [
        {"id": n, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True}
        for n, t in enumerate(_SPECIAL)
    ]  # fmt: skip
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": {t: n for n, t in enumerate(tokens)}, "merges": [list(m) for m in _MERGES]}  # fmt: skip
    document = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                "pre_tokenizer": level, "post_processor": None, "decoder": level, "model": model}  # fmt: skip
    _write(folder / "tokenizer.json", document)
    names = {"bos_token": _SPECIAL[1], "eos_token": _SPECIAL[2], "pad_token": _SPECIAL[0], "unk_token": _SPECIAL[0]}
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    (folder / "chat_template.jinja").write_text(_CHATML, encoding="utf-8")


def _word_pieces(vocabulary: Mapping[str, int]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": n, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
            for t, n in vocabulary.items()
            if t.startswith("[")
        ],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", vocabulary["[SEP]"]],
                           "cls": ["[CLS]", vocabulary["[CLS]"]]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": dict(vocabulary)},
    }  # fmt: skip


def _write_pooling(folder: Path) -> None:
    parts = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{name}"}
        for n, (path, name) in enumerate(parts)
    ]
    _write(folder / "modules.json", modules)
    for path in ("1_Pooling", "2_Normalize"):
        (folder / path).mkdir(exist_ok=True)
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True})


def _write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _floats(facts: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in facts.items()}
