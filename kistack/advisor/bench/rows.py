"""A file of measured costs: one row per published figure, as its source states it."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kistack.domain.yamlfile import load_yaml, plain_yaml, validate
from kistack.errors import InvalidInput, KistackError
from kistack.units import UnitError, parse_size


class Row(BaseModel):
    """One measured figure with what its source says of the conditions."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str = Field(description="what was measured, such as file_size, decode, peak_mem")
    model: str = Field(description="name of the model")
    hardware: str = Field(default="any", description="device and conditions, in the source's words")
    config: str = Field(default="", description="precision and conditions, in the source's words")
    measured: float = Field(gt=0, description="the figure, a positive number")
    unit: str = Field(description="unit of the figure, such as GB, GiB, tokens/s")
    source: str = Field(default="", description="where the figure stands")

    @property
    def words(self) -> str:
        """Hardware and configuration together."""
        return f"{self.hardware}, {self.config}"


class CostFile(BaseModel):
    """All rows of a file; whatever else it holds is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    measured: tuple[Row, ...] = Field(min_length=1, description="the rows, each with kind, model, measured and unit")


class Case(BaseModel):
    """Work that does not fit its device, as seen or derived."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    model: str
    hardware: str
    config: str
    measured: str
    source: str

    @property
    def row(self) -> Row:
        """The same conditions as a row; its figure is without meaning."""
        return Row(
            kind=self.kind, model=self.model, hardware=self.hardware, config=self.config, measured=1, unit="B",
            source=self.source,
        )  # fmt: skip


def load_rows(path: Path) -> tuple[Row, ...]:
    """The rows of a file of measured costs.

    Raises:
        InputError: the file cannot be read.
        InvalidInput: it is no such file.

    """
    data, positions = load_yaml(path, error=InvalidInput, collect=True)
    return validate(CostFile, data, positions, path, error=InvalidInput).measured


@cache
def out_of_memory_cases() -> tuple[Case, ...]:
    """The shipped cases of ``kistack/data/out_of_memory.yaml``.

    Raises:
        KistackError: the installation is damaged.
    """
    try:
        return tuple(Case.model_validate(case) for case in load_table("out_of_memory.yaml")["cases"])
    except (KeyError, TypeError, ValidationError) as error:
        raise KistackError(f"kistack/data/out_of_memory.yaml is damaged: {error}", "install kistack again") from error


def load_table(name: str) -> Any:
    """A shipped YAML table.

    Raises:
        KistackError: the installation is damaged.
    """
    try:
        return plain_yaml((resources.files("kistack.data") / name).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise KistackError(f"kistack/data/{name} is damaged: {error}", "install kistack again") from error


_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def to_base(row: Row) -> float | None:
    """The row's figure in bytes, seconds or per second; None where the unit is none of these.

    A time per token is turned into tokens per second.
    """
    unit = row.unit.split("(")[0].strip()
    head, slash, per = (part.strip() for part in unit.partition("/"))
    if head in _SECONDS and per in {"token", "tok"}:
        return 1 / (row.measured * _SECONDS[head])
    if not slash and head in _SECONDS:
        return row.measured * _SECONDS[head]
    if head in {"tokens", "token", "tok", "t"} and per in {"s", "sec", "second"}:
        return row.measured
    try:
        scale = parse_size(f"1{head}")
    except UnitError:
        return None
    return row.measured * scale if per in {"", "s"} else None
