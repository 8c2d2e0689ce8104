"""What a sentence-transformers folder says of itself: how token vectors become one vector. Reads JSON only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from kistack.errors import ModelError

Pooling = Literal["cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken"]
Role = Literal["query", "passage"]

_POOLINGS = ("cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken")
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "passage": ("document", "passage", "corpus")}
_HINT = "choose an embedder made of a transformer, pooling, dense layers and normalisation"


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer after pooling: its folder, and the name of its activation."""

    folder: Path
    activation: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How an embedder computes.

    ``transformer`` is the folder with weights and tokenizer, ``length`` the most tokens it reads (0: what its
    tokenizer says). ``normalised``: vectors have length 1, so that a dot product is the cosine. ``prompts`` are put
    before queries and passages.
    """

    transformer: Path
    length: int
    lower_case: bool
    pooling: Pooling
    dense: tuple[Dense, ...]
    normalised: bool
    prompts: dict[Role, str]


def read_layout(folder: Path) -> Layout:
    """The layout of an embedder's folder.

    Raises:
        ModelError: a file is missing or damaged, or it has a module that is not supported here.

    """
    if not (folder / "modules.json").exists():
        return Layout(folder, 0, lower_case=False, pooling="mean", dense=(), normalised=True, prompts=_prompts({}))
    transformer: Path | None = None
    pooling: Pooling = "mean"
    dense: list[Dense] = []
    normalised = False
    for module in _read(folder / "modules.json"):
        kind, path = str(module.get("type", "")).rpartition(".")[2], folder / str(module.get("path", ""))
        if kind == "Transformer":
            transformer = path
        elif kind == "Pooling":
            pooling = _pooling(path)
        elif kind == "Dense":
            dense.append(_dense(path))
        elif kind == "Normalize":
            normalised = True
        elif kind != "Dropout":
            raise ModelError(f"{folder}: an embedder with the module {kind!r} cannot be used", _HINT)
    if transformer is None:
        raise ModelError(f"{folder}: this embedder has no transformer", _HINT)
    own = _read_if_there(folder / "config_sentence_transformers.json")
    similarity = own.get("similarity_fn_name") or "cosine"
    if similarity not in {"cosine", "dot"}:
        raise ModelError(f"{folder}: an embedder compared by {similarity!r} cannot be used", "choose another embedder")
    settings = _read_if_there(transformer / "sentence_bert_config.json")
    return Layout(
        transformer=transformer,
        length=int(settings.get("max_seq_length") or 0),
        lower_case=bool(settings.get("do_lower_case")),
        pooling=pooling,
        dense=tuple(dense),
        normalised=normalised or similarity == "cosine",
        prompts=_prompts(own.get("prompts") or {}),
    )


def _prompts(declared: dict[str, str]) -> dict[Role, str]:
    return {
        role: next((declared[name] for name in names if declared.get(name)), "")
        for role, names in _PROMPT_NAMES.items()
    }


def _pooling(folder: Path) -> Pooling:
    config = _read(folder / "config.json")
    modes = config.get("pooling_mode") or [name for flag, name in _FLAGS.items() if config.get(flag)] or "mean"
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in _POOLINGS or config.get("include_prompt") is False:
        raise ModelError(f"{folder}: pooling {'+'.join(map(str, modes))} of this embedder cannot be used", _HINT)
    return cast("Pooling", modes[0])


def _dense(folder: Path) -> Dense:
    config = _read(folder / "config.json")
    if config.get("use_residual") or config.get("module_input_name", "sentence_embedding") != "sentence_embedding":
        raise ModelError(f"{folder}: this kind of dense layer cannot be used", _HINT)
    return Dense(folder, str(config.get("activation_function") or "Identity").rpartition(".")[2])


def _read_if_there(path: Path) -> dict[str, Any]:
    return cast("dict[str, Any]", _read(path)) if path.exists() else {}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})", "fetch the embedder again") from error
