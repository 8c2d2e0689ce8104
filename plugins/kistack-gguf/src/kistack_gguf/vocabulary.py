"""A Hugging Face tokenizer as the metadata that llama.cpp tokenizes by.

llama.cpp knows two ways to cut text: byte-level BPE with one of its built-in pre-tokenizers, and the
SentencePiece way of the first Llamas. A tokenizer that is neither is refused: a wrong cut changes answers silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.errors import ModelError

# token types of GGUF (gguf.TokenType)
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
#: Pre-tokenizers that split by a pattern of their own, and what llama.cpp calls them.
_PATTERNS = {
    f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}{{1,3}}|{_REST}": "llama-bpe",
    f"{_CONTRACTIONS}|{_WORDS}|\\p{{N}}|{_REST}": "qwen2",
}
_SPACE = "\u2581"
_HINT = "use the model unquantized, or one with a byte-level BPE or SentencePiece tokenizer that llama.cpp knows"


@dataclass(frozen=True)
class Vocabulary:
    """All that GGUF says of a tokenizer. ``special`` maps ``bos``, ``eos``, ``eot``, ``unk``, ``pad`` to ids."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    special: Mapping[str, int] = field(default_factory=dict)
    add_bos: bool = False
    add_eos: bool = False
    add_space_prefix: bool = False
    chat_template: str = ""


def read_vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The vocabulary of the tokenizer in ``folder`` for a model whose embedding has ``rows`` rows.

    Raises:
        ModelError: no ``tokenizer.json``, more tokens than rows, or a tokenizer that llama.cpp cannot imitate.

    """
    file = folder / "tokenizer.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        config = _json(folder / "tokenizer_config.json")
    except (OSError, ValueError) as e:
        raise ModelError(f"{file}: cannot be read: {e}", "save the tokenizer beside the model (save_pretrained)") from e
    core = document.get("model") or {}
    if core.get("type", "BPE") != "BPE" or "merges" not in core:
        raise ModelError(f"{file}: a tokenizer of type {core.get('type')!r} has no form in GGUF", _HINT)
    template = _chat_template(folder, config)
    ids = {a["content"]: a["id"] for a in document.get("added_tokens", ())} | core["vocab"]
    special = _special(config, _json(folder / "generation_config.json"), ids)
    tokens, types = _tokens(file, document, rows)
    plain = bool(core.get("byte_fallback"))
    merges = [m if isinstance(m, str) else " ".join(m) for m in core["merges"]]
    adds_bos, adds_eos = _added_by_encoding(file, special)
    # what the template does not write was never there when this model was asked or trained through it
    adds_bos = adds_bos and (not template or "bos_token" in template or _literal(config, "bos_token") in template)
    return Vocabulary(
        model="llama" if plain else "gpt2",
        pre="default" if plain else pre_tokenizer(document, file),
        tokens=tokens,
        types=types,
        merges=[] if plain else merges,
        scores=_scores(tokens, merges) if plain else [],
        special=special,
        add_bos=adds_bos,
        add_eos=adds_eos,
        add_space_prefix=plain and _prefixes_space(document),
        chat_template=template,
    )


def pre_tokenizer(document: Mapping[str, Any], where: Path | str = "tokenizer.json") -> str:
    """The name llama.cpp has for the pre-tokenizer of a byte-level ``tokenizer.json``, told by what it does.

    Raises:
        ModelError: llama.cpp has none that does the same.

    """
    normalizer = document.get("normalizer")
    parts = _parts(document.get("pre_tokenizer"), "pretokenizers")
    shapes = [p.get("type") for p in parts]
    last = parts[-1] if parts else {}
    known = not _parts(normalizer, "normalizers") and shapes[-1:] == ["ByteLevel"] and not last.get("add_prefix_space")
    if known and last.get("use_regex", True):
        if shapes == ["ByteLevel"]:
            return "gpt-2"
        if shapes == ["Digits", "ByteLevel"] and parts[0].get("individual_digits"):
            return "smollm"
    elif known and shapes == ["Split", "ByteLevel"]:
        found = _PATTERNS.get((parts[0].get("pattern") or {}).get("Regex", ""))
        if found and parts[0].get("behavior") == "Isolated" and not parts[0].get("invert"):
            return found
    told = " + ".join(map(str, [*(p.get("type") for p in _parts(normalizer, "normalizers")), *shapes])) or "nothing"
    raise ModelError(f"{where}: llama.cpp has no pre-tokenizer that does the same as {told}", _HINT)


def _parts(element: Mapping[str, Any] | None, plural: str) -> list[Mapping[str, Any]]:
    if element is None:
        return []
    return list(element[plural]) if element.get("type") == "Sequence" else [element]


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template") or ""
    if isinstance(found, str):
        return found
    return str(next((t["template"] for t in found if t.get("name") == "default"), ""))


def _literal(config: Mapping[str, Any], name: str) -> str:
    """The text of a special token, which older files spell as an object."""
    value = config.get(name) or ""
    return value["content"] if isinstance(value, dict) else str(value)


def _special(config: Mapping[str, Any], generation: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, int]:
    named = {short: _literal(config, f"{short}_token") for short in ("bos", "eos", "unk", "pad")}
    special = {short: ids[text] for short, text in named.items() if text in ids}
    ends = generation.get("eos_token_id")
    others = [e for e in (ends if isinstance(ends, list) else [ends]) if e is not None and e != special.get("eos")]
    if "eos" not in special and others:
        special["eos"] = others.pop(0)
    if others:
        special["eot"] = others[0]
    return special


def _tokens(file: Path, document: Mapping[str, Any], rows: int) -> tuple[list[str], list[int]]:
    core = document["model"]
    texts: dict[int, tuple[str, int]] = {number: (text, NORMAL) for text, number in core["vocab"].items()}
    if core.get("byte_fallback"):
        for number in list(texts):
            text = texts[number][0]
            if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):  # noqa: PLR2004 - <0xNN>
                texts[number] = (text, BYTE)
        if (unknown := core["vocab"].get(core.get("unk_token") or "")) is not None:
            texts[unknown] = (core["unk_token"], UNKNOWN)
    for added in document.get("added_tokens", ()):
        if texts.get(added["id"], ("", NORMAL))[1] != UNKNOWN:
            texts[added["id"]] = (added["content"], CONTROL if added.get("special") else USER_DEFINED)
    if texts and max(texts) >= rows:
        raise ModelError(
            f"{file}: token {max(texts)} has no row in an embedding of {rows}", "give the tokenizer of this model"
        )
    filled = [texts.get(n, (f"[PAD{n}]", UNUSED)) for n in range(rows)]
    return [t for t, _ in filled], [k for _, k in filled]


def _scores(tokens: Sequence[str], merges: Sequence[str]) -> list[float]:
    """SentencePiece merges the pair with the best score first: the rank of the first merge that makes a token."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), rank)
    return [-float(ranks[t]) if t in ranks else -1e6 for t in tokens]


def _prefixes_space(document: Mapping[str, Any]) -> bool:
    steps = _parts(document.get("normalizer"), "normalizers") + _parts(document.get("pre_tokenizer"), "pretokenizers")
    return any(
        (s.get("type") == "Prepend" and s.get("prepend") == _SPACE)
        or (s.get("type") == "Metaspace" and s.get("prepend_scheme", "always") != "never")
        for s in steps
    )


def _added_by_encoding(file: Path, special: Mapping[str, int]) -> tuple[bool, bool]:
    """Whether the tokenizer puts its begin and end tokens around a text, told by letting it."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(file)).encode("a").ids
    begins = bool(ids) and ids[0] == special.get("bos")
    return begins, bool(ids) and len(ids) > 1 and ids[-1] == special.get("eos")
