"""Adapters as models and as folders. Heavy: imported only inside ``run``."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from kistack_torch.folders import weights_digest
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file

from kistack.domain.artifacts import Artifact
from kistack.errors import DataError, ModelError
from kistack_peft.settings import TARGET_GROUPS, LoraSettings

RECORD = "kistack.json"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SCHEMA = 1


def attach(model: Any, settings: LoraSettings) -> Any:
    """``model`` frozen, with a fresh LoRA adapter in the model's own number format (drawn from torch's generator).

    Raises:
        ModelError: the model has none of the matrices that ``targets`` names.
    """
    targets: str | list[str] = settings.targets
    if targets != "all-linear":
        targets = list(TARGET_GROUPS.get(settings.targets) or (n.strip() for n in settings.targets.split(",")))
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers under a name that it gave up; the answer is right
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            # The training loop keeps fp32 masters itself: computing in the base's format is faster.
            return get_peft_model(model, config, autocast_adapter_dtype=False)
    except ValueError as error:
        raise ModelError(
            f"tune/lora: {type(model).__name__} has no matrices {settings.targets!r}",
            "use targets: all-linear, or the names of linear layers of this model",
        ) from error


def save_adapter(model: Any, base: Artifact, settings: LoraSettings, folder: Path) -> None:
    """Write the adapter of ``model``: its configuration, its weights in their present format, and on what it stands.

    Nothing written depends on where things lie on this machine.
    """
    config = model.peft_config["default"].to_dict()
    config.update(base_model_name_or_path=None, inference_mode=True)
    plain = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    (folder / _CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file({n: state[n].contiguous().cpu() for n in sorted(state)}, folder / _WEIGHTS, metadata={"format": "pt"})
    record = {
        "schema": _SCHEMA,
        "base": {"weights": weights_digest(base.path), "artifact": base.digest},
        "settings": settings.model_dump(mode="json"),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def base_of(adapter: Artifact) -> Artifact:
    """The model that ``adapter`` was trained on.

    Raises:
        ModelError: it does not lie with the adapter, or is not the one: other weights were there when it was trained.
    """
    if not adapter.requires:
        raise ModelError(f"{adapter.path}: an adapter without its base", "give the model it was trained on with it")
    base = adapter.requires[0]
    try:
        record = json.loads((adapter.path / RECORD).read_text(encoding="utf-8"))
        trained_on = str(record["base"]["weights"])
    except FileNotFoundError:
        return base  # made elsewhere: nothing is known of its base, the comparison after the merge must do
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{adapter.path / RECORD}: cannot be read: {error}", "train the adapter again") from error
    found = weights_digest(base.path)
    if found != trained_on:
        raise ModelError(
            f"{adapter.path}: this adapter was trained on a base with weights {trained_on[:12]}, not {found[:12]} "
            f"({base.path})",
            "merge it into the base it was trained on, or train it again on this one",
        )
    return base


def stored_dtype(artifact: Artifact) -> torch.dtype:
    """The number format in which the weights of a model artifact are stored.

    Raises:
        ModelError: it is none of fp32, fp16, bf16.
    """
    from kistack_torch.devices import DTYPES
    from safetensors import safe_open

    named = artifact.facets.get("precision")
    if named:
        if named not in DTYPES:
            raise ModelError(f"{artifact.path}: stored as {named}", "merge adapters on unquantized bases only")
        return DTYPES[named]
    path = min(artifact.path.glob("*.safetensors"))
    with safe_open(path, "pt") as file:
        dtype: torch.dtype = file.get_tensor(next(iter(file.keys()))).dtype
    return dtype
