"""The table of published effects, fitted from single studies: ``kistack/data/effects.yaml``.

An effect starts from a prior (what is assumed where nothing is published) and is moved by each study's value, weighed
by its precision; what the studies disagree by is kept as spread between settings (DerSimonian and Laird 1986, random
effects, with the prior as one more study). Leaving a paper out is fitting again without its values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from kistack.domain.yamlfile import plain_yaml
from kistack.errors import KistackError

#: Half the width of an 80 % interval of the normal distribution, in standard deviations.
Z80 = 1.2815515655446004

_ARXIV = re.compile(r"\b\d{4}\.\d{4,5}\b")
#: Words that say nothing of which paper is meant.
_FILLER = frozenset({"the", "and", "for", "from", "with", "measured", "guide", "paper", "readme", "benchmark"})


@dataclass(frozen=True, slots=True)
class Observation:
    """One study's value of an effect, its standard deviation, and where it stands."""

    value: float
    spread: float
    source: str


@dataclass(frozen=True, slots=True)
class Prior:
    """One effect: its value with 80 % interval, what it says, and whose figures it rests on."""

    name: str
    value: float
    low: float
    high: float
    about: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudiedEffect:
    """How one effect is fitted: the assumption, and what was observed."""

    name: str
    about: str
    assumed: tuple[float, float, float]  # value, low, high
    observations: tuple[Observation, ...] = ()

    def fitted(self) -> Prior:
        """The assumption, moved by what was observed."""
        value, low, high = self.assumed
        spread = (high - low) / (2 * Z80)
        values = [(value, spread), *((o.value, o.spread) for o in self.observations)]
        between = _between(values)
        weights = [1 / (s * s + between) for _, s in values]
        middle = math.fsum(w * v for w, (v, _) in zip(weights, values, strict=True)) / math.fsum(weights)
        # A further setting differs from the mean by what settings differ among themselves. That a few studies agree
        # does not show that it is little, so the assumed spread stays; that they disagree shows that it is more.
        half = Z80 * max(spread, math.sqrt(1 / math.fsum(weights) + between))
        middle = min(max(middle, low), high)
        sources = tuple(o.source for o in self.observations) or ("assumed: nothing published was found",)
        return Prior(self.name, middle, max(low, middle - half), min(high, middle + half), self.about, sources)


def _between(values: Sequence[tuple[float, float]]) -> float:
    """Variance between studies by the method of moments (DerSimonian and Laird 1986), 0 where they agree."""
    weights = [1 / (s * s) for _, s in values]
    total = math.fsum(weights)
    middle = math.fsum(w * v for w, (v, _) in zip(weights, values, strict=True)) / total
    apart = math.fsum(w * (v - middle) ** 2 for w, (v, _) in zip(weights, values, strict=True))
    scale = total - math.fsum(w * w for w in weights) / total
    return max(0.0, (apart - (len(values) - 1)) / scale) if scale > 0 else 0.0


@dataclass(frozen=True, slots=True)
class EffectTable:
    """All effects by name as they were fitted, and the loss of quantization by bits per weight relative to 4.5 bits."""

    priors: Mapping[str, Prior]
    loss_by_bits: tuple[tuple[float, float], ...]
    effects: Mapping[str, StudiedEffect] = field(default_factory=dict)
    values: Mapping[str, float] = field(init=False, repr=False, compare=False)
    ends: Mapping[str, tuple[float, float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {n: p.value for n, p in self.priors.items()})
        object.__setattr__(self, "ends", {n: (p.low, p.high) for n, p in self.priors.items()})

    def without(self, dropped: Callable[[str], bool]) -> EffectTable:
        """The table fitted again without the observations whose source ``dropped`` accepts."""
        left = {
            name: replace(effect, observations=tuple(o for o in effect.observations if not dropped(o.source)))
            for name, effect in self.effects.items()
        }
        return EffectTable(
            MappingProxyType({n: e.fitted() for n, e in left.items()}), self.loss_by_bits, MappingProxyType(left)
        )


def cites(source: str, paper: str) -> bool:
    """Whether a source names this paper: by its arXiv number, else by the words of its title or authors."""
    numbers = set(_ARXIV.findall(paper))
    if numbers:
        return bool(numbers & set(_ARXIV.findall(source)))
    wanted = _words(paper)
    return bool(wanted) and len(wanted & _words(source)) >= 0.7 * len(wanted)


def _words(text: str) -> set[str]:
    return {w for w in re.findall(r"[a-z0-9.]+", text.lower()) if len(w) > 2 and w not in _FILLER}  # noqa: PLR2004


@cache
def effect_table() -> EffectTable:
    """The shipped table, read and fitted once.

    Raises:
        KistackError: the installation is damaged.
    """
    text = (resources.files("kistack.data") / "effects.yaml").read_text(encoding="utf-8")
    try:
        document = plain_yaml(text)
        effects = {name: _effect(name, row) for name, row in document["effects"].items()}
        steps = tuple((float(b), float(loss)) for b, loss in document["loss_by_bits"])
        fitted = {name: effect.fitted() for name, effect in effects.items()}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise KistackError(f"kistack/data/effects.yaml is damaged: {error}", "install kistack again") from error
    return EffectTable(MappingProxyType(fitted), steps, MappingProxyType(effects))


def _effect(name: str, row: Mapping[str, Any]) -> StudiedEffect:
    assumed = row["prior"]
    value, low, high = float(assumed["value"]), float(assumed["low"]), float(assumed["high"])
    usual = (high - low) / (2 * Z80)
    seen = tuple(
        Observation(
            float(o["value"]),
            (float(o["high"]) - float(o["low"])) / (2 * Z80) if "high" in o else usual,
            str(o["source"]),
        )
        for o in row["observations"]
    )
    return StudiedEffect(name, str(row["about"]), (value, low, high), seen)
