"""A machine as a scenario declares it: the one that serves, the one that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from kistack.domain.devices import find_preset
from kistack.domain.fields import Bytes, Money, Part, PerSecond, ScenarioPath
from kistack.units import UnitError

#: Keys of a scenario that hold a machine.
MACHINES = ("serve_on", "train_on")


def _preset_key(value: object) -> object:
    """The key of a machine in the shipped table."""
    if not isinstance(value, str):
        raise UnitError(f"{value!r} is no name of a machine", "kistack profile --list-targets shows them")
    return find_preset(value).key


def _is_file(text: str | Path, info: ValidationInfo) -> bool:
    """Whether a machine is given by a file: written like a path, or existing as one."""
    if isinstance(text, Path) or "/" in text or "\\" in text or text.endswith(".json"):
        return True
    return Path((info.context or {}).get("root", "."), Path(text).expanduser()).exists()


class Device(Part):
    """A machine: this one (nothing stated), a preset by name, an exported file, or stated facts.

    A file is one written by ``kistack profile --export``. Stated facts override those of preset or file. ``gpu_memory``
    is free memory of each GPU, never a sum.
    """

    preset: Annotated[str, BeforeValidator(_preset_key)] | None = Field(
        None, description="a machine of the shipped table, such as rtx-4090 (kistack profile --list-targets)"
    )
    profile: ScenarioPath | None = Field(None, description="a file written by kistack profile --export")
    ram: Bytes | None = Field(None, description="memory in all, such as 8GiB")
    ram_free: Bytes | None = Field(None, description="memory that may be used, such as 6GiB")
    disk: Bytes | None = Field(None, description="free disk space, such as 50GB")
    cores: int | None = Field(None, ge=1, description="number of processor cores")
    bandwidth: PerSecond | None = Field(None, description="memory bandwidth, such as 50 GB/s")
    flops_fp32: PerSecond | None = Field(None, description="fp32 matrix throughput, such as 160 GFLOP/s")
    flops_bf16: PerSecond | None = Field(None, description="bf16 matrix throughput, such as 400 GFLOP/s")
    flops_int8: PerSecond | None = Field(None, description="int8 matrix throughput, such as 800 GFLOP/s")
    isa: tuple[str, ...] | None = Field(None, description="instruction sets, such as [avx2, avx512]")
    gpus: int | None = Field(None, ge=0, description="number of GPUs")
    gpu_memory: Bytes | None = Field(None, description="free memory of each GPU, such as 24GiB")
    price_per_hour: Money | None = Field(None, description="what an hour of it costs, such as $0.60")
    platform: str | None = Field(None, description="operating system and processor, such as linux-x86_64")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        if value == "this":
            return {}
        if isinstance(value, str | Path) and str(value):
            return {"profile" if _is_file(value, info) else "preset": value}
        return value

    @model_validator(mode="after")
    def _one_base(self) -> Device:
        if self.preset is not None and self.profile is not None:
            raise UnitError("preset and profile exclude each other", "keep one of them and state what differs")
        return self

    @property
    def is_this(self) -> bool:
        """Whether it is the machine kistack runs on, as it is."""
        return not self.model_fields_set or not any(getattr(self, n) is not None for n in self.model_fields_set)
