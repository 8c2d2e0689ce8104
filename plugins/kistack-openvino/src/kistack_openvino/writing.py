"""Writing a model in OpenVINO's format. Heavy: imported only by ``run``."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack_torch.models import load_tokenizer

from kistack.errors import ModelError
from kistack_openvino.runtime import MODEL_FILE
from kistack_openvino.settings import QuantizerSettings

#: Names under which licence texts lie beside a model.
LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE", "USE_POLICY.md")
_WEIGHTS = "openvino_model.bin"
#: A layer of the graph with a name that OpenVINO made up, and the name of the whole.
_COUNTED = re.compile(r'(<layer id="(\d+)" name=")([A-Za-z]+)_\d+(")')
_NET = re.compile(r'(<net name=")[^"]*(")')


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: bytes of all files and of the weights, bytes of the source's weights, parameters."""

    bytes: int
    weights: int
    source_weights: int
    params: float


def write(source: Path, out: Path, settings: QuantizerSettings) -> Written:
    """Write the model folder ``source`` into ``out``: graph and weights, tokenizer, chat template, licence.

    Raises:
        ModelError: the model cannot be read, or OpenVINO has no form for it.

    """
    tokenizer = load_tokenizer(source)
    model = _converted(source, settings)
    params = _parameters(source)
    model.save_pretrained(out)
    graph = out / MODEL_FILE
    graph.write_text(numbered(graph.read_text(encoding="utf-8")), encoding="utf-8")
    tokenizer.save_pretrained(out)
    for name in LICENCE_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    return Written(
        bytes=sum(f.stat().st_size for f in out.rglob("*") if f.is_file()),
        weights=(out / _WEIGHTS).stat().st_size,
        source_weights=sum(f.stat().st_size for f in source.glob("*.safetensors")),
        params=params,
    )


def numbered(graph: str) -> str:
    """A graph whose nodes are not named by how many the process had made before: the same model, the same bytes."""
    named = _COUNTED.sub(r"\1\3_\2\4", graph)
    return _NET.sub(r"\1model\2", named, count=1)


def _converted(source: Path, settings: QuantizerSettings) -> Any:
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    if not any(source.glob("*.safetensors")):
        raise ModelError(f"{source}: holds no *.safetensors", "save the model with transformers' save_pretrained")
    kind = settings.spec
    options: dict[str, Any] = {"bits": kind.bits, "sym": False}
    if kind.name == "int4":
        options |= {"group_size": settings.group, "ratio": 1.0}
    try:
        return OVModelForCausalLM.from_pretrained(
            str(source),
            export=True,
            compile=False,
            quantization_config=OVWeightQuantizationConfig(**options),
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{source}: OpenVINO has no form for it: {line}", "use another quantizer") from error


def _parameters(source: Path) -> float:
    """Weights in the source's safetensors, counted from their headers."""
    from safetensors import safe_open

    count = 0
    for file in sorted(source.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                size = 1
                for width in tensors.get_slice(name).get_shape():
                    size *= width
                count += size
    return float(count)
