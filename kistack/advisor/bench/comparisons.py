"""Published comparisons of strategies, as a file lists them: what was known before, what was tried, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from kistack.domain.yamlfile import load_yaml, validate
from kistack.errors import InvalidInput


class _Read(BaseModel):
    """Only what is read is named: a comparison may carry more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CorpusFacts(_Read):
    """Documents at hand."""

    tokens: float | None = None
    fits_context: bool | None = None


class RetrievalFacts(_Read):
    """How well passages are found."""

    recall: float | None = None
    ideal: bool | None = None


class PairFacts(_Read):
    """What there is to train on."""

    labelled: float | None = None
    unlabelled: float | None = None
    form: str | None = None


class ModelFacts(_Read):
    """A model: ``params_b`` in billions."""

    params_b: float | None = None
    kind: str | None = None
    instruct: bool | None = None
    context: float | None = None
    access: str | None = None


class MachineFacts(_Read):
    """A machine to train or to serve on."""

    device: str | None = None
    count: float | None = None
    memory_gib: float | None = None
    batch: float | None = None


class LimitFacts(_Read):
    """Limits: a number, or the word ``tight`` (or true) where one is stated without a number."""

    memory_gib: float | str | bool | None = None
    latency_ms: float | str | bool | None = None
    bytes_gib: float | str | bool | None = None
    cost: float | str | bool | None = None
    forgetting: float | str | bool | None = None


class KnownFacts(_Read):
    """What could be known before running anything. ``base_knows`` is a share, or none, little, half, most."""

    task: Literal["facts", "behaviour", "both"] = "facts"
    base_knows: float | str | None = None
    changes: str | None = None
    post_cutoff: bool | None = None
    popularity: str | None = None
    corpus: CorpusFacts | None = None
    retrieval: RetrievalFacts | None = None
    pairs: PairFacts | None = None
    base: ModelFacts = Field(default_factory=ModelFacts)
    teacher: ModelFacts | None = None
    train_on: MachineFacts | None = None
    serve_on: MachineFacts | None = None
    limits: LimitFacts = Field(default_factory=LimitFacts)
    weights_dtype: str | None = None


class Option(_Read):
    """One thing that was tried: its levers and the published value."""

    id: str
    levers: dict[str, Any]
    value: float


class Metric(_Read):
    """What was measured, and whether more of it is better."""

    name: str = ""
    better: Literal["higher", "lower"] = "higher"


class Comparison(_Read):
    """One published comparison."""

    id: str = Field(description="a name for the comparison")
    paper: str = Field(description="where it was published")
    facts: KnownFacts = Field(description="what is known of its situation, as a mapping of keys")
    metric: Metric = Field(default_factory=Metric)
    options: tuple[Option, ...] = Field(min_length=1, description="what was compared, each with id, levers and value")
    recommend: tuple[str, ...] = ()
    avoid: tuple[Mapping[str, Any], ...] = ()
    scorable: bool = True

    def regret(self, chosen: Option) -> float:
        """0 where the choice may be put first, else its share of the way from the best to the worst value."""
        if chosen.id in self.recommend:
            return 0.0
        values = [o.value for o in self.options]
        best, worst = (max(values), min(values)) if self.metric.better == "higher" else (min(values), max(values))
        return (best - chosen.value) / (best - worst) if best != worst else 1.0

    def violates(self, chosen: Option) -> bool:
        """Whether the choice matches one of the combinations of levers that must not be put first."""
        return any(all(chosen.levers.get(k) == v for k, v in rule.items()) for rule in self.avoid)


class _File(_Read):
    scenarios: tuple[Comparison, ...] = Field(
        min_length=1, description="the comparisons, each with id, paper, facts and options"
    )


def read_comparisons(path: Path) -> tuple[Comparison, ...]:
    """The comparisons of a YAML file ``{scenarios: [...]}``.

    Raises:
        InputError: it cannot be read; ``InvalidInput`` lists every mistake with its line.
    """
    data, positions = load_yaml(path, error=InvalidInput, collect=True)
    return validate(_File, data, positions, path, error=InvalidInput).scenarios
