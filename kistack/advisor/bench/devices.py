"""Devices as sources name them: figures from the shipped tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from kistack.advisor.bench.rows import load_table
from kistack.errors import KistackError
from kistack.plugins.costs import Machine

_TABLES = ("devices.yaml", "bench_devices.yaml")


@dataclass(frozen=True, slots=True)
class Device:
    """A machine with its name and all the memory that a model could have on it, nothing taken off."""

    name: str
    machine: Machine
    memory: float


def find_device(text: str) -> Device | None:
    """The device that a text names; the longest name counts, hyphens and spaces are the same."""
    lowered = text.lower()
    return next((device for pattern, device in _patterns() if pattern.search(lowered)), None)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Device], ...]:
    """A pattern per name of every device, the longest names first."""
    named: list[tuple[str, Device]] = []
    for table in _TABLES:
        for key, row in load_table(table)["devices"].items():
            try:
                device = _device(key, row)
                named += [(str(name).lower(), device) for name in (key, *row.get("aliases", ()))]
            except (KeyError, TypeError, ValueError) as error:
                raise KistackError(
                    f"kistack/data/{table}: {key} is damaged: {error}", "install kistack again"
                ) from error
    named.sort(key=lambda pair: -len(pair[0]))
    return tuple((re.compile(_spelled(name)), device) for name, device in named)


def _spelled(name: str) -> str:
    parts = (re.escape(part) for part in re.split(r"[-_ ]", name))
    return rf"(?<![a-z0-9.]){r'[-_ ]?'.join(parts)}(?![a-z0-9])"


def _device(key: str, row: dict[str, float]) -> Device:
    gpus = int(row.get("gpus", 0))
    memory = float(row["gpu_total"] if gpus else row["ram_total"])
    flops = float(row["flops_fp32"])
    machine = Machine(
        cores=int(row.get("cores", 1)),
        ram_free=float(row.get("ram_free", memory)),
        bandwidth=float(row["bandwidth"]),
        flops_fp32=flops,
        flops_bf16=float(row.get("flops_bf16", flops / 2)),
        gpus=gpus,
        gpu_free=memory if gpus else 0.0,
        price_per_hour=float(row.get("price_per_hour", 0.0)),
    )
    return Device(key, machine, memory)
