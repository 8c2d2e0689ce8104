"""The table of published effects: central figure, interval and sources, shipped as ``kistack/data/effects.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import yaml

from kistack.errors import KistackError

#: Half the width of an 80 % interval of the normal distribution, in standard deviations.
Z80 = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Prior:
    """One figure from the literature: its 80 % interval, what it says, and where it stands."""

    name: str
    value: float
    low: float
    high: float
    about: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EffectTable:
    """All figures by name, and the loss of quantization by bits per weight relative to 4.5 bits."""

    priors: Mapping[str, Prior]
    loss_by_bits: tuple[tuple[float, float], ...]

    def without(self, source: str) -> EffectTable:
        """The table without what cites only sources that contain ``source`` (widened to its whole interval).

        Such a figure keeps its interval's middle and twice its width, for then nobody vouches for its centre.
        """
        kept = {}
        for name, prior in self.priors.items():
            if all(source in s for s in prior.sources):
                middle, half = (prior.low + prior.high) / 2, prior.high - prior.low
                prior = Prior(name, middle, max(0.0, middle - half), middle + half, prior.about, ())  # noqa: PLW2901 - replaced in the copy
            kept[name] = prior
        return EffectTable(MappingProxyType(kept), self.loss_by_bits)


@cache
def effect_table() -> EffectTable:
    """The shipped table, read once.

    Raises:
        KistackError: the installation is damaged.
    """
    text = (resources.files("kistack.data") / "effects.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
        priors = {
            name: Prior(
                name,
                float(row["value"]),
                float(row["low"]),
                float(row["high"]),
                row["about"],
                tuple(row["sources"]),
            )
            for name, row in document["effects"].items()
        }
        steps = tuple((float(b), float(loss)) for b, loss in document["loss_by_bits"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise KistackError(f"kistack/data/effects.yaml is damaged: {error}", "install kistack again") from error
    return EffectTable(MappingProxyType(priors), steps)
