"""What the store keeps of a step: the record beside the artifacts, and how it is read back."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact, Opener
from kistack.errors import StoreError

#: Version of ``steps/<key>.json``.
STEP_SCHEMA = 1

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Made:
    """An output folder that is to be kept, and what is known of it.

    ``requires`` are artifacts that must travel with it, ``ports`` the names under which they are opened with it.
    """

    folder: Path
    kind: str
    format: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    requires: tuple[Artifact, ...] = ()
    ports: tuple[str, ...] = ()
    opener: Opener | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished step as the store has it: outputs by name, and what was measured when it was made.

    ``inputs`` maps each port to the digests it read; ``created`` is seconds since 1970.
    """

    key: str
    stage: str
    outputs: Mapping[str, Artifact]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    created: float = 0.0


def file_name(key: str) -> str:
    """A file name for a key: the key itself where it can be one, else its SHA-256."""
    return key if _SAFE.fullmatch(key) else "h-" + hashlib.sha256(key.encode()).hexdigest()


def output_key(key: str, name: str) -> str:
    """The key of one output; an input that was put into the store has one output without a name."""
    return f"{key}/{name}" if name else key


def check_facts(owner: str, facts: Mapping[str, float]) -> dict[str, float]:
    """Facts as plain floats.

    Raises:
        StoreError: a fact is not a finite number.
    """
    checked = {}
    for name, value in facts.items():
        if isinstance(value, str) or not math.isfinite(value):
            raise StoreError(f"{owner}: fact {name!r} is {value!r}", "a fact is a finite number")
        checked[name] = float(value)
    return checked


def describe_output(made: Made, digest: str, facts: Mapping[str, float]) -> dict[str, Any]:
    """The entry of one output in a step's record."""
    return {
        "digest": digest,
        "kind": made.kind,
        "format": made.format,
        "facets": dict(made.facets),
        "facts": dict(facts),
        "requires": [{"key": a.key, "digest": a.digest} for a in made.requires],
        "ports": list(made.ports),
        "opener": None if made.opener is None else {"stage": made.opener.stage, "settings": dict(made.opener.settings)},
    }


def read_output(
    entry: Mapping[str, Any], *, key: str, path: Path, requires: tuple[Artifact, ...], parents: tuple[str, ...]
) -> Artifact:
    """The artifact that an entry of a step's record describes."""
    opener = entry["opener"]
    return Artifact(
        kind=entry["kind"],
        format=entry["format"],
        path=path,
        digest=entry["digest"],
        key=key,
        facets=entry["facets"],
        facts=entry["facts"],
        requires=requires,
        parents=parents,
        opener=None if opener is None else Opener(opener["stage"], opener["settings"]),
        ports=tuple(entry["ports"]),
    )
