"""The contract of stages: what a plugin implements.

A stage reads typed artifacts through *ports* and leaves typed artifacts through *outs*. Everything the core needs
in order to compose, estimate and key a plan is data (``Traits``); everything heavy happens in ``run`` and ``open``,
which are called in a worker process only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from kistack.domain.artifacts import Artifact, Type
from kistack.domain.facts import Profile
from kistack.domain.records import Estimate
from kistack.plugins.environments import Environment

TECHNIQUES = ("retrieve", "distill", "tune", "quantize")


class Settings(BaseModel):
    """Base of every stage's settings: unknown names are refused, values are frozen, each field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What a stage reads.

    ``slot``: the plan's slot it reads (default: the port's own name). ``where``: what the artifact must be: the key
    ``format`` or a facet, the value one or several alternatives joined by ``|``. ``prefer``: the same as a wish: an
    ``auto`` stage is put in where one can grant it, and its absence is no error. ``optional``: may be missing.
    ``many``: reads every slot of that kind. ``opened``: ``ctx.open(port)`` will be called, so something must open it.
    ``gives``: what the opened session must be able to do. ``default``: slot to read when its own is empty.
    ``hint``: the remedy shown when it cannot be met.
    """

    kind: str
    slot: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    prefer: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    many: bool = False
    opened: bool = False
    gives: tuple[str, ...] = ()
    default: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """What a stage writes.

    ``like``: the port whose format, facets and facts it starts from. ``format`` and ``set`` (facets) replace them.
    ``same``: the same content in another form (merged, converted): the stage is not written into the line of descent.
    ``fresh``: starts a new line of descent (a student is not its teacher). ``requires``: ports whose artifacts must
    travel with it (an adapter's base). ``serve``: is part of what the plan delivers although nobody names it
    (an index). ``slot``: the slot it is written to (default: the out's own name).
    """

    kind: str
    like: str = ""
    format: str = ""
    set: Mapping[str, str] = field(default_factory=dict)
    same: bool = False
    fresh: bool = False
    requires: tuple[str, ...] = ()
    serve: bool = False
    slot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A number that must be large enough: fact ``fact`` of the artifact at ``port``, or of the profile if no port.

    Checked when composing and again, for ports, on what was really made. A fact nobody knows is not held against it.
    """

    fact: str
    at_least: float
    port: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opens:
    """A kind and format (alternatives joined by ``|``) that a stage can open, and what the session can do.

    A model session gives any of ``generate``, ``stream``, ``loglikelihood``; an index session ``search``.
    """

    kind: str
    format: str
    gives: tuple[str, ...] = ()

    def covers(self, kind: str, form: str) -> bool:
        """Whether artifacts of this kind and format are opened."""
        return self.kind == kind and form in self.format.split("|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Frozen facts of a stage under given settings.

    ``before`` / ``after`` / ``excludes``: patterns of stage names (``tune/*``) that must come later / earlier / not at
    all in one line of descent. ``agree``: facets on which two ports must agree, as ``(port, port, facet)``. ``needs``:
    numbers that must be large enough. ``packages``: importable modules it needs. ``environment``: where it runs and
    opens, if its dependencies clash with others'; its ``packages`` and ``libraries`` are then those there. ``auto``:
    the composer may put it in. ``opt_in``: runs only where a plan names it: an evaluator that costs a lot or needs
    settings; a technique's stage that leaves the usual one what ``retrieve+tune`` means, and what is guessed first.
    ``metrics``: the names of the numbers that an evaluator leaves; empty where it does not say, and then no metric
    is refused as unknown. ``processor``: it computes on the processor whatever GPUs there are, so that its memory is
    the machine's own. ``seeded``: the plan's seed changes its result. ``deterministic``: the same inputs on the same
    numerics class give the same bytes. ``timed``: its result holds timings, so it is never reused across machines.
    ``network``: it talks to other machines when it runs.
    """

    consumes: Mapping[str, Port] = field(default_factory=dict)
    produces: Mapping[str, Out] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    agree: tuple[tuple[str, str, str], ...] = ()
    needs: tuple[Need, ...] = ()
    packages: tuple[str, ...] = ()
    environment: Environment | None = None
    opens: tuple[Opens, ...] = ()
    auto: bool = False
    opt_in: bool = False
    metrics: tuple[str, ...] = ()
    processor: bool = False
    seeded: bool = False
    deterministic: bool = True
    timed: bool = False
    network: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """What one answer asks of an opened artifact, for serving estimates (tokens per answer; answers at once).

    ``repeatable`` says that the same questions must get the same answers, whatever else the machine does: a runtime
    whose answers depend on what is answered beside them then takes one at a time, however many there are.
    """

    prompt_tokens: float = 64
    new_tokens: float = 32
    concurrency: int = 1
    repeatable: bool = False


class Context(Protocol):
    """What ``run`` is given, in the worker."""

    seed: int

    @property
    def scratch(self) -> Path:
        """A folder that survives a kill of this step: checkpoints go here. It is removed when the step is done."""
        ...

    def input(self, port: str) -> Artifact:
        """The artifact at ``port`` (KeyError where an optional one is missing)."""
        ...

    def inputs(self, port: str) -> Sequence[Artifact]:
        """All artifacts at a ``many`` port; of any other port none or one."""
        ...

    def out(self, name: str) -> Path:
        """The existing empty folder that becomes output ``name``."""
        ...

    def open(self, port: str) -> Any:
        """The session of the artifact at an ``opened`` port; closed for you after ``run``."""
        ...

    def progress(self, done: float, total: float, unit: str = "", **numbers: float) -> None:
        """Say how far it is; ``numbers`` (loss, tokens_per_second) are plotted and logged."""
        ...

    def log(self, message: str) -> None:
        """One line for the run's log."""
        ...


class Stage:
    """Base of all stages. Subclass it in a plugin and return the class from a registration hook.

    ``name`` is ``kind/name``; ``libraries`` are distributions whose versions enter the key of its results, because
    they decide the bytes. Stages are created without arguments and hold no state. Only ``run`` and ``open`` may
    import anything heavy.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ()
    Settings: ClassVar[type[Settings]] = Settings
    #: By how much its estimate may be off, as a factor, where that is not what ``kistack.testing`` allows by itself:
    #: ``seconds``, ``peak_bytes``, ``bytes``.
    accuracy: ClassVar[Mapping[str, float]] = {}
    #: Settings that matter only when the result is opened (``top_k``): they do not enter the key of the result.
    open_settings: ClassVar[frozenset[str]] = frozenset()

    def traits(self, settings: Any) -> Traits:
        """Its facts under these settings."""
        raise NotImplementedError

    def suggest(self, profile: Profile, inputs: Mapping[str, Type]) -> list[Any]:
        """The few settings worth judging here, best guess first."""
        return [self.Settings()]

    def resolve(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Any:
        """Settings with no ``auto`` left; called before anything is hashed."""
        return settings

    def estimate(self, settings: Any, profile: Profile, inputs: Mapping[str, Type]) -> Estimate:
        """Time, memory and sizes of ``run``: pure, fast, light. Each out's facts must include ``bytes``.

        ``inputs`` maps each met port to its type. The machine is ``hardware.*`` of the profile.
        """
        raise NotImplementedError

    def serving(self, settings: Any, profile: Profile, artifact: Type, load: Load) -> Estimate:
        """Costs of the opened artifact on the serving machine (``serving.*`` of the profile).

        ``peak_bytes`` (resident memory it adds), for a model ``latency_seconds`` of one answer and
        ``tokens_per_second``, for an index ``query_seconds``; an index also says in
        ``facts["passages"]["tokens"]`` how many prompt tokens its passages add.
        """
        return Estimate()

    def inspect(self, settings: Any) -> Type:
        """Sources only: the type of what ``run`` will leave, read without loading weights.

        ``identity`` is a digest of the content. Raises ModelError when it cannot be found or read.
        """
        raise NotImplementedError

    def claims(self, reference: str) -> Any | None:
        """Sources only: the settings with which it would fetch this model reference, None if it is not its own."""
        return None

    def run(self, settings: Any, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Do the work: write every output folder, return each output's facts. Called in a worker only."""
        raise NotImplementedError

    def open(self, settings: Any, artifact: Artifact, parts: Mapping[str, Artifact]) -> Any:
        """A session (``ModelSession``, ``IndexSession``) of an artifact this stage opens.

        ``parts`` are the artifacts it requires, by the name of the port they came from.
        """
        raise NotImplementedError
