"""What the user declares: task, knowledge, models, machines, traffic and limits. One YAML file, ``kistack.yaml``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from kistack.domain.fields import Bytes, Date, Money, Part, PerDay, ScenarioPath, Seconds, Share
from kistack.domain.machine import Device
from kistack.domain.prompt import PromptTemplate
from kistack.domain.yamlfile import load_yaml, validate
from kistack.units import UnitError, is_share_rate, parse_duration, parse_rate

SCENARIO_SCHEMA = 1
SCENARIO_FILE = "kistack.yaml"

CHANGES_HINT = "accepted: measured, none, a rate such as 2%/day, or a half-life such as 90d"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Path | Mapping) else value


def _parts(value: object) -> object:
    items = _listed(value)
    if not isinstance(items, list | tuple):
        return items
    return [{"path": item} if isinstance(item, str | Path) else item for item in items]


def _dated(value: object) -> object:
    """``{date: path}`` as well as a list of ``{path, as_of}``."""
    if isinstance(value, Mapping) and "path" not in value:
        return [{"as_of": date, "path": path} for date, path in value.items()]
    return _listed(value)


class Task(Part):
    """What the answers are for and how they are judged."""

    kind: Literal["facts", "behaviour", "both"] = Field(
        "facts", description="facts (answers lie in the documents), behaviour (form, tone, skill) or both"
    )
    metric: str = Field("contained", min_length=1, description="name of the metric that decides, such as contained")
    at_least: Share | None = Field(None, description="the least acceptable value of the metric, such as 70%")


class Changes(Part):
    """How fast the documents change: declared, or to be measured.

    ``per_day`` is the hazard of one piece of content per day (0 unless declared).
    """

    mode: Literal["measured", "none", "declared"]
    per_day: float = 0.0
    text: str = "measured"

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if isinstance(value, Mapping | Changes):
            return value
        if value in {"measured", "none"}:
            return {"mode": value, "text": value}
        if is_share_rate(value):
            return {"mode": "declared", "per_day": parse_rate(value), "text": value}
        try:
            half_life = parse_duration(value) if isinstance(value, str) else 0.0
        except UnitError:
            half_life = 0.0
        if half_life <= 0:
            raise UnitError(f"{value!r} is neither a rate nor a half-life", CHANGES_HINT)
        return {"mode": "declared", "per_day": math.log(2) / (half_life / 86_400), "text": value}

    @model_serializer
    def _write(self) -> str:
        return self.text


class CorpusPart(Part):
    """Documents of one kind: a folder or file, and what may be done with them."""

    path: ScenarioPath = Field(description="a folder or file of documents")
    part: str = Field("", description="a name for these documents (default: the name of the folder)")
    erasable: bool = Field(False, description="yes where people may ask for deletion: it is never trained on")
    per_user_access: bool = Field(False, description="yes where not everyone may see all of it: it is never trained on")
    licence: str = Field("", description="the licence of these documents")
    changes: Changes | None = Field(
        None,
        description="how fast this part changes, where it is not to be as knowledge.changes says, such as 2%/month",
    )

    @property
    def name(self) -> str:
        """``part``, or the name of the folder or file."""
        return self.part or self.path.stem or "corpus"


class Split(Part):
    """Which pairs are held out for the evaluation."""

    test: Share = Field(0.3, gt=0, lt=1, description="share of the pairs to hold out, such as 30%")
    by: Literal["auto", "document", "entity", "declared"] = Field(
        "auto",
        description="auto, document (no gold document on both sides), entity (no group on both sides) or declared",
    )


class Snapshot(Part):
    """The corpus as it was on a date, to measure how fast it changes."""

    path: ScenarioPath = Field(description="a folder or file of documents as they were on that date")
    as_of: Date = Field(description="the date, such as 2024-07-01")


class Knowledge(Part):
    """Documents and labelled pairs, and how they change."""

    corpus: Annotated[tuple[CorpusPart, ...], BeforeValidator(_parts)] = Field(
        (),
        description="a path, a list of paths, or a list of {path, part, erasable, per_user_access, licence, changes}",
    )
    pairs: Annotated[tuple[ScenarioPath, ...], BeforeValidator(_listed)] = Field(
        (),
        description="JSONL or CSV files with question and answer (or answers, or unanswerable: true), optionally gold, "
        "group, date, split",
    )
    split: Split = Field(default_factory=Split, description="{test: 30%, by: document}")
    changes: Changes = Field(
        default_factory=lambda: Changes(mode="measured"), description=CHANGES_HINT.removeprefix("accepted: ")
    )
    as_of: Date | None = Field(None, description="the date of the corpus, such as 2024-07-01")
    snapshots: Annotated[tuple[Snapshot, ...], BeforeValidator(_dated)] = Field(
        (), description="older states of the corpus: {2024-07-01: folder, …} or a list of {path, as_of}"
    )


class Models(BaseModel):
    """Model references by slot: ``base`` is needed, ``teacher`` and ``embedder`` are known, other names are free.

    References that name an existing path relative to the scenario file become absolute.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, str] = Field(init=False)

    base: str = Field(min_length=1, description="the language model: package:NAME, hub:ORG/NAME, a folder or .gguf")
    teacher: str = Field("", description="a larger model to distil from")
    embedder: str = Field("", description="the sentence-embedding model for retrieval")

    @model_validator(mode="before")
    @classmethod
    def _absolute(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping):
            return value
        root = (info.context or {}).get("root", ".")
        return {name: _absolute_reference(text, root) for name, text in value.items()}

    @property
    def references(self) -> dict[str, str]:
        """Every named model, by slot name; the base's slot is ``model``."""
        named = {"model": self.base, "teacher": self.teacher, "embedder": self.embedder}
        return {name: text for name, text in {**named, **(self.__pydantic_extra__ or {})}.items() if text}


def _absolute_reference(text: object, root: Path | str) -> object:
    if not isinstance(text, str) or re.match(r"[a-z][a-z0-9+.-]+:", text) or not text:
        return text
    path = Path(root, Path(text).expanduser())
    return str(path.resolve()) if path.exists() else text


class Traffic(Part):
    """How much is asked."""

    queries_per_day: PerDay = Field(100.0, description="questions per day, such as 500")
    concurrency: int = Field(1, ge=1, description="questions answered at the same time")


class Upkeep(Part):
    """How often what was built is made again as the content changes."""

    refresh_every: Seconds | None = Field(
        None, gt=0, description="how often the index is brought up to date, such as 1d (default: as its size allows)"
    )
    retrain_every: Seconds | None = Field(
        None, gt=0, description="how often weights are trained again, such as 30d (default: never within the horizon)"
    )


class Limits(Part):
    """What must not be exceeded. Absent means no limit."""

    memory: Bytes | None = Field(None, description="memory while serving, such as 2GiB")
    disk: Bytes | None = Field(None, description="size of what is deployed, such as 500MB")
    latency_p95: Seconds | None = Field(None, description="95th percentile of one answer's time, such as 3s")
    training_time: Seconds | None = Field(None, description="time for all training steps, such as 2h")
    money: Money | None = Field(None, description="money for training and paid services, such as $3")
    local_only: bool = Field(False, description="yes: nothing may leave this machine")

    @field_validator("memory", "disk", "latency_p95", "training_time")
    @classmethod
    def _above_zero(cls, value: float | None) -> float | None:
        if value == 0:
            raise UnitError("nothing keeps a limit of zero", "write what is allowed, or leave the limit out")
        return value


class PromptOverrides(Part):
    """Wording around question and passages, where the standard wording does not fit."""

    system: str | None = Field(None, description="the system message (may be empty)")
    with_passages: str | None = Field(None, description="wording with {passages} and {question}")
    bare: str | None = Field(None, description="wording with {question}")

    @model_validator(mode="after")
    def _placeholders(self) -> PromptOverrides:
        for name, wanted in (("with_passages", ("{passages}", "{question}")), ("bare", ("{question}",))):
            text = getattr(self, name)
            absent = [w for w in wanted if text is not None and w not in text]
            if absent:
                raise UnitError(f"{name} lacks {' and '.join(absent)}", f"write {' and '.join(wanted)} into {name}")
        return self


class Scenario(Part):
    """All that the user declares. Read it with ``load_scenario``, or build it from plain values."""

    schema_: int = Field(
        SCENARIO_SCHEMA, alias="schema", description=f"the version of this file's form: {SCENARIO_SCHEMA}"
    )
    name: str = Field(min_length=1, max_length=100, description="a name for this scenario")
    task: Task = Field(default_factory=Task, description="{kind, metric, at_least}")
    knowledge: Knowledge = Field(default_factory=Knowledge, description="{corpus, pairs, split, changes, snapshots}")
    models: Models = Field(description="{base: reference, teacher: reference, embedder: reference}")
    train_on: Device = Field(
        default_factory=Device, description="this, a preset's name, an exported file, or stated facts"
    )
    serve_on: Device = Field(
        default_factory=Device, description="this, a preset's name, an exported file, or stated facts"
    )
    traffic: Traffic = Field(default_factory=Traffic, description="{queries_per_day, concurrency}")
    upkeep: Upkeep = Field(default_factory=Upkeep, description="{refresh_every, retrain_every}")
    limits: Limits = Field(
        default_factory=Limits, description="{memory, disk, latency_p95, training_time, money, local_only}"
    )
    indifference: float = Field(2.0, ge=0, le=100, description="points of quality (0 to 100) that do not matter")
    horizon: Seconds = Field(90 * 86_400.0, gt=0, description="how long the result is to serve, such as 90d")
    prompt: PromptOverrides = Field(default_factory=PromptOverrides, description="{system, with_passages, bare}")
    policies: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        ("default",), description="names or paths of policy files"
    )
    trackers: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict, description="settings of plugins that follow runs, by plugin: {mlflow: {uri: mlruns}}"
    )
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("schema_")
    @classmethod
    def _known_schema(cls, value: int) -> int:
        if value != SCENARIO_SCHEMA:
            raise UnitError(f"{value} is not known", f"this kistack reads schema {SCENARIO_SCHEMA}")
        return value

    @field_validator("policies")
    @classmethod
    def _policy_paths(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Paths (anything with a slash or .yaml) relative to the file; names stay names."""
        root = (info.context or {}).get("root", ".")
        is_path = [p.endswith((".yaml", ".yml")) or "/" in p for p in value]
        return tuple(str(Path(root, p)) if path else p for p, path in zip(value, is_path, strict=True))

    @property
    def file(self) -> Path | None:
        """The file it was read from; None for one built in Python."""
        return self._file

    @property
    def folder(self) -> Path:
        """The project's folder: where its file lies, else the current one."""
        return self._file.parent if self._file is not None else Path.cwd()

    @property
    def template(self) -> PromptTemplate:
        """The prompt's wording: the standard one with this scenario's overrides."""
        return PromptTemplate(**self.prompt.model_dump(exclude_none=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values that read back as an equal scenario (units as text)."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"schema": self.schema_}


def load_scenario(path: Path | str = SCENARIO_FILE) -> Scenario:
    """The scenario in a YAML file, or in ``kistack.yaml`` of a folder. Relative paths start at the file.

    Raises:
        InputError: the file cannot be read.
        ScenarioError: every problem of the file, each with its line, the offending value and what is accepted.

    """
    file = Path(path)
    file = (file / SCENARIO_FILE if file.is_dir() else file).absolute()
    data, positions = load_yaml(file, collect=True)
    scenario = validate(Scenario, data, positions, Path(path), context={"root": file.parent, "must_exist": True})
    scenario._file = file  # noqa: SLF001 - its own class's private attribute, set once here
    return scenario
