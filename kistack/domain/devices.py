"""Machines by name: a shipped table of devices, each figure with its source."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from kistack.domain.yamlfile import plain_yaml
from kistack.units import UnitError

DEVICES_FILE = "devices.yaml"
DEVICES_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One machine of the table: bytes, B/s, FLOP/s, USD per hour.

    ``bandwidth`` and ``flops_*`` are those of the device a model runs on (one GPU where there are any), for dense
    matrix products. ``*_free`` is what is realistically left to a model. ``gpu_*`` is each GPU's, never a sum.
    """

    key: str
    title: str
    aliases: tuple[str, ...]
    cores: int
    isa: tuple[str, ...]
    ram_total: float
    ram_free: float
    disk_free: float
    gpus: int
    bandwidth: float
    flops_fp32: float
    flops_bf16: float
    flops_int8: float
    platform: str
    sources: tuple[str, ...]
    gpu_total: float | None = None
    gpu_free: float | None = None
    price_per_hour: float | None = None
    #: GPU and processor use one memory; nothing where they do not.
    unified: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its key and the other names it answers to."""
        return self.key, *self.aliases


@cache
def presets() -> Mapping[str, Preset]:
    """All machines of the table by key, in its order."""
    text = resources.files("kistack.data").joinpath(DEVICES_FILE).read_text(encoding="utf-8")
    # The C loader reads the table five times faster; some platforms come without it.
    document = plain_yaml(text)
    return MappingProxyType({key: _preset(key, row) for key, row in document["devices"].items()})


def _preset(key: str, row: Mapping[str, Any]) -> Preset:
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in row.items()}
    return Preset(key=key, **values)


def find_preset(name: str) -> Preset:
    """The machine of that key or alias; upper and lower case, blanks and underscores do not matter.

    Raises:
        UnitError: there is none; the hint names close ones.

    """
    wanted = "-".join(name.lower().replace("_", " ").split())
    by_name = {n: preset for preset in presets().values() for n in preset.names}
    if wanted in by_name:
        return by_name[wanted]
    close = list(dict.fromkeys(by_name[n].key for n in difflib.get_close_matches(wanted, by_name, n=5, cutoff=0.5)))
    told = f"did you mean {' or '.join(close[:3])}?" if close else f"known: {', '.join(presets())}"
    raise UnitError(
        f"{name!r} is neither a file nor a known machine",
        f"{told} (kistack profile --list-targets shows them; kistack profile --export writes a file)",
    )
