"""What a Hugging Face or sentence-transformers folder holds, read from its JSON files and safetensors headers."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Type
from kistack.errors import ModelError
from kistack_transformers import vocabulary

CONFIG = "config.json"
MODULES = "modules.json"
WEIGHTS = ".safetensors"

#: What is handed on of a folder: weights as safetensors, JSON, vocabularies, templates, licences. No code, no pickle.
_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".model", ".tiktoken", ".jinja", ".md"})
_LICENCES = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

#: Number formats as safetensors names them, with their bytes; doubles are opened as fp32, so they count as such.
#: Others (integers, booleans) are buffers or packed weights.
_FLOATS = {"F32": ("fp32", 4), "F16": ("fp16", 2), "BF16": ("bf16", 2), "F64": ("fp32", 8)}
_PACKED = {"F8_E4M3": "fp8", "F8_E5M2": "fp8"}

#: Names that models gave the same numbers.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "multi_query_group_num"),
    "head_dim": ("head_dim", "d_kv"),
    "ffn": ("intermediate_size", "n_inner", "ffn_hidden_size", "d_ff", "hidden_dim"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "seq_length", "max_seq_len"),
}

_RESAVE = "save it again with save_pretrained(), which writes safetensors, on a machine where you trust the file"


@dataclass(frozen=True, slots=True)
class Stored:
    """A model's weights: how many, in which number format, in how many bytes."""

    params: float
    precision: str
    bytes: float


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: it cannot be read, or is no object.

    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ModelError(f"{path}: {e.strerror or e}", "give a folder that holds a model") from e
    except ValueError as e:
        raise ModelError(f"{path}: not readable as JSON ({e})", "fetch or save the model again") from e
    if not isinstance(document, dict):
        raise ModelError(f"{path}: an object was expected", "fetch or save the model again")
    return document


def is_embedder(folder: Path) -> bool:
    """Whether it is a sentence-transformers folder."""
    return (folder / MODULES).is_file()


def files(folder: Path, *, embedder: bool) -> list[Path]:
    """The files to hand on, relative to ``folder``, sorted. Subfolders count for an embedder's modules only."""
    found = [p for p in _children(folder) if _wanted(p)]
    if embedder:
        for name in _module_folders(folder):
            found += [p for p in _children(folder / name) if _wanted(p)]
    return sorted(p.relative_to(folder) for p in found)


def _module_folders(folder: Path) -> list[str]:
    """Subfolders that ``modules.json`` names; those without files (a module without weights) may be missing."""
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        names = [str(m["path"]) for m in modules if m["path"]]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelError(f"{folder / MODULES}: not the list of modules that it should be ({e})", "save it again") from e
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{folder / MODULES}: module path {name!r} leaves the folder", "use another model")
    return [n for n in dict.fromkeys(names) if (folder / n).is_dir()]


def _children(folder: Path) -> Iterator[Path]:
    return (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def _wanted(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES or path.name.upper().startswith(_LICENCES)


def link(folder: Path, names: Iterable[Path], out: Path) -> None:
    """Put links to the files ``names`` of ``folder`` into ``out``: the user's files are neither copied nor touched."""
    for name in names:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # the hub's cache is made of links itself: point at the file, not at a link that cleaning may remove
        target.symlink_to((folder / name).resolve(strict=True))


def digest(folder: Path, names: Iterable[Path]) -> str:
    """SHA-256 over names and contents of the files."""
    found = hashlib.sha256()
    for name in names:
        with (folder / name).open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        found.update(f"{name.as_posix()}\0{inner}\n".encode())
    return found.hexdigest()


def describe(folder: Path, role: str, stored: Stored | None = None) -> Type:
    """The type of the model in ``folder`` for ``role`` (``model`` or ``embedder``), without identity.

    ``stored`` says what its weights are where they are not in the folder yet.

    Raises:
        ModelError: it is no model of that role, holds pickles only, or asks for code of its own.

    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder", "name a model folder; a hub model is written hub:org/name")
    embedder = is_embedder(folder)
    _check_role(folder, role, embedder=embedder)
    config = read_json(folder / CONFIG)
    _check_code(folder, config)
    if role == "model":
        _check_causal(folder, config)
    stored = stored or weights(folder)
    names = files(folder, embedder=embedder)
    beside = sum((folder / n).stat().st_size for n in names if n.suffix != WEIGHTS)
    facts = {"params": stored.params, **shape(config), "bytes": stored.bytes + beside}
    if embedder:
        facts.update(_sentence_context(folder))
    return Type(
        kind=role,
        format="sentence-transformers" if embedder else "hf",
        facets={
            "precision": _packed_precision(config) or stored.precision,
            "family": str(config.get("model_type", "")),
            "vocabulary": vocabulary.of_folder(folder),
        },
        facts=facts,
    )


def _check_role(folder: Path, role: str, *, embedder: bool) -> None:
    if not (folder / CONFIG).is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(f"{folder}: an adapter, not a model", "name its base model, and train an adapter on it")
        raise ModelError(f"{folder}: no {CONFIG}, so no model folder", "name the folder that holds config.json")
    if role == "model" and embedder:
        raise ModelError(f"{folder}: a sentence embedder, not a language model", "give it as the embedder")
    if role == "embedder" and not embedder:
        raise ModelError(f"{folder}: no {MODULES}, so no sentence embedder", "name a sentence-transformers folder")


def _check_code(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model whose architecture exists only as code in its folder: that code never runs here."""
    if "auto_map" not in config:
        return
    family = str(config.get("model_type", "")).replace("-", "_")
    spec = importlib.util.find_spec("transformers")
    known = [Path(root) / "models" / family for root in (spec.submodule_search_locations or ())] if spec else []
    if not family or not any(path.is_dir() for path in known):
        raise ModelError(
            f"{folder}: its architecture {family or 'without a name'!r} exists only as code in the model's own files, "
            "which kistack never runs",
            "use a model whose architecture transformers knows",
        )


def _check_causal(folder: Path, config: Mapping[str, Any]) -> None:
    names = [str(n) for n in config.get("architectures") or ()]
    ends = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
    if names and not any(n.endswith(ends) for n in names):
        raise ModelError(f"{folder}: {', '.join(names)} does not generate text", "name a causal language model")


def weights(folder: Path) -> Stored:
    """The weights in ``folder``; their number format is the one that holds most of the bytes.

    Raises:
        ModelError: no safetensors, or damaged ones.

    """
    paths = sorted(folder.glob(f"*{WEIGHTS}"))
    if not paths:
        pickles = sorted(p.name for p in _children(folder) if p.suffix.lower() in _PICKLES)
        if pickles:
            raise ModelError(f"{folder}: only pickled weights ({pickles[0]}), which kistack never loads", _RESAVE)
        raise ModelError(f"{folder}: no weights (*.safetensors)", "fetch the model again, or name its folder")
    stored: Counter[str] = Counter()
    params = 0.0
    for path in paths:
        for entry in _safetensors(path).values():
            count, kind = math.prod(entry["shape"]), entry["dtype"]
            name, width = _FLOATS.get(kind, (_PACKED.get(kind, ""), 1))
            if name:
                params += count
                stored[name] += count * width
    size = sum(p.stat().st_size for p in paths)
    return Stored(params, stored.most_common(1)[0][0] if stored else "", float(size))


def _safetensors(path: Path) -> dict[str, Any]:
    """The tensor table of a safetensors file: an 8-byte length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            table: dict[str, Any] = json.loads(file.read(min(length, path.stat().st_size)))
        table.pop("__metadata__", None)
        return {name: {"dtype": str(e["dtype"]), "shape": [int(n) for n in e["shape"]]} for name, e in table.items()}
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as e:
        raise ModelError(f"{path}: damaged safetensors file ({e})", "fetch the model again") from e


def _packed_precision(config: Mapping[str, Any]) -> str:
    """The precision a quantized folder states in its config; empty where it states none."""
    stated = config.get("quantization_config")
    if not isinstance(stated, Mapping):
        return ""
    if stated.get("load_in_4bit"):
        return "nf4" if stated.get("bnb_4bit_quant_type") == "nf4" else "int4"
    if stated.get("load_in_8bit"):
        return "int8"
    method = str(stated.get("quant_method", ""))
    bits = stated.get("bits") or stated.get("w_bit")
    if bits:
        return f"int{bits}"
    return "fp8" if "fp8" in method else "int8"


def shape(config: Mapping[str, Any]) -> dict[str, float]:
    """The model's dimensions under the names of ``Type.facts``, from a ``config.json``."""
    inner = config.get("text_config")
    merged = {**config, **inner} if isinstance(inner, Mapping) else config
    found = {fact: float(value) for fact, names in _ALIASES.items() if (value := _first(merged, names)) is not None}
    heads = found.get("heads")
    if heads:
        found.setdefault("kv_heads", heads)
        if "hidden" in found:
            found.setdefault("head_dim", found["hidden"] / heads)
    if "hidden" in found:
        found.setdefault("ffn", 4 * found["hidden"])
    return found


def _first(config: Mapping[str, Any], names: Iterable[str]) -> int | float | None:
    values = (config.get(n) for n in names)
    return next((v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)), None)


def _sentence_context(folder: Path) -> dict[str, float]:
    """How many tokens of a text the embedder reads, where it says so."""
    path = folder / "sentence_bert_config.json"
    limit = read_json(path).get("max_seq_length") if path.is_file() else None
    return {"context": float(limit)} if isinstance(limit, int) else {}
