"""Students made of their teacher's own layers. Heavy: imported only inside ``run``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from kistack.errors import ModelError


def shallow(teacher: Any, kept: Sequence[int]) -> Any:
    """A model like ``teacher`` with only its layers ``kept`` (in that order), in the teacher's number format.

    Everything else (embeddings, norms, head) is copied. Initializing a student from every other layer of its teacher:
    Sanh et al. 2019, DistilBERT, arXiv:1910.01108.

    Raises:
        ModelError: the teacher's layers cannot be told from the rest of it.
    """
    prefix, layers = _find_layers(teacher)
    config = copy.deepcopy(teacher.config)
    for name, value in config.to_dict().items():
        # such as layer_types: what each layer is
        if "layer" in name and isinstance(value, list) and len(value) == layers:
            setattr(config, name, [value[i] for i in kept])
    config.num_hidden_layers = len(kept)
    config._name_or_path = ""  # noqa: SLF001 - a path of this machine would make equal models differ
    student = type(teacher)(config).to(device=teacher.device, dtype=teacher.dtype)
    place = {old: new for new, old in enumerate(kept)}
    state: dict[str, torch.Tensor] = {}
    for name, tensor in teacher.state_dict().items():
        if not name.startswith(prefix):
            state[name] = tensor
            continue
        number, _, rest = name[len(prefix) :].partition(".")
        if int(number) in place:
            state[f"{prefix}{place[int(number)]}.{rest}"] = tensor
    student.load_state_dict(state)
    student.generation_config = copy.deepcopy(teacher.generation_config)
    return student.eval()


def _find_layers(model: Any) -> tuple[str, int]:
    """Prefix of the layers' parameter names, and how many layers there are."""
    count = int(getattr(model.config, "num_hidden_layers", 0))
    found = [n for n, m in model.named_modules() if isinstance(m, nn.ModuleList) and len(m) == count]
    if count < 2 or len(found) != 1:  # noqa: PLR2004 - nothing can be left out of one layer
        raise ModelError(
            f"distill/response: {type(model).__name__} has no single stack of {count} layers to choose from",
            "name a student model and set student: given",
        )
    return f"{found[0]}.", count
