"""Everything that decides whether kistack can work here, found without changing anything and told without secrets."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kistack.bundle.installed import Extra, Library, distributions, libraries, missing_extras, version_of
from kistack.domain.scenario import Scenario, load_scenario
from kistack.errors import KistackError
from kistack.plugins import API_VERSION
from kistack.plugins.host import Host
from kistack.plugins.installing import declared, lacking
from kistack.plugins.stages import TECHNIQUES
from kistack.profiling.drivers import has_driver, list_gpus
from kistack.profiling.hardware import System, cores, disk, instruction_sets, memory, processor
from kistack.profiling.models import claim
from kistack.storage.health import Health, examine
from kistack.storage.project import Project

DOCTOR_SCHEMA = 1

_PYTHON = (3, 11)
#: Variables that change what kistack, its libraries and trackers do. Only their names are told.
_VARIABLES = re.compile(r"(KISTACK|HF|HUGGINGFACE|TRANSFORMERS|CUDA|HIP|ROCR|G?OMP|MKL|MLFLOW|PIP|PYTHON)_?\w*")
_AROUND = ("runtime", "evaluate", "source")


@dataclass(frozen=True, slots=True)
class Model:
    """A model reference: the source that knows it, its bytes, what is wrong with it, and the scenario's slots."""

    reference: str
    source: str
    bytes: float = 0.0
    fault: str = ""
    slots: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What ``kistack doctor`` found.

    ``broken`` are faults that keep something installed or kept from working, ``notes`` are worth knowing. Sizes are
    bytes. All texts are free of secrets.
    """

    kistack: dict[str, str]
    libraries: tuple[Library, ...]
    plugins: tuple[dict[str, Any], ...]
    devices: dict[str, Any]
    models: tuple[Model, ...]
    project: dict[str, str]
    store: Health
    extras: tuple[Extra, ...]
    environments: tuple[dict[str, str], ...]
    variables: tuple[str, ...]
    broken: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken

    def to_json(self) -> dict[str, Any]:
        """A JSON document with stable keys."""
        return {"schema": DOCTOR_SCHEMA, "usable": self.usable, **asdict(self)}


def diagnose(folder: Path, host: Host) -> Diagnosis:
    """Look at the installation, this machine, and the project at or above ``folder``, if there is one."""
    family = distributions(p.distribution for p in host.plugins)
    needed = tuple(libraries(family))
    place, scenario, project = _project(folder)
    store = examine(place.work) if place is not None else Health()
    models = tuple(_models(host, scenario))
    found = Diagnosis(
        kistack={
            "version": version_of("kistack"),
            "plugin_api": API_VERSION,
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "platform": platform.platform(),
            "executable": sys.executable,
            **{n: version_of(n) for n in family if n != "kistack"},
        },
        libraries=needed,
        plugins=tuple(asdict(p) for p in host.plugins),
        devices=_devices(folder),
        models=models,
        project=project,
        store=store,
        extras=tuple(missing_extras(family, host.extras())),
        environments=tuple(_environments(host)),
        variables=tuple(sorted(n for n in os.environ if _VARIABLES.fullmatch(n))),
        broken=(*_broken_install(needed, host), *_broken_project(project, store, models)),
        notes=tuple(_notes(host, store)),
    )
    return _without_secrets(found)


def _project(folder: Path) -> tuple[Project | None, Scenario | None, dict[str, str]]:
    try:
        place = Project.find(folder)
    except KistackError:
        return None, None, {"folder": "", "scenario": "", "fault": ""}
    try:
        scenario = load_scenario(place.scenario)
    except KistackError as error:
        return place, None, {"folder": str(place.root), "scenario": "", "fault": error.message}
    return place, scenario, {"folder": str(place.root), "scenario": scenario.name, "fault": ""}


def _devices(folder: Path) -> dict[str, Any]:
    system = System()
    seen = memory(system)
    gpus = list_gpus() if has_driver() else []
    return {
        "processor": processor(system),
        "cores": cores(system).value,
        "isa": instruction_sets(system).value,
        "ram_total": seen["ram_total"].value,
        "ram_free": seen["ram_free"].value,
        "disk_free": disk(folder.absolute()).value,
        "gpus": [{"name": g.name, "total": g.total, "free": g.free} for g in gpus],
    }


def _models(host: Host, scenario: Scenario | None) -> Iterator[Model]:
    """The models that sources find here, then those of the scenario that are not among them; no network is asked."""
    slots: dict[str, list[str]] = {}
    for slot, reference in (scenario.models.references if scenario is not None else {}).items():
        slots.setdefault(reference, []).append(slot)
    told = set()
    for plugin, stage in host.sources():
        try:
            listed = list(stage.installed()) if hasattr(stage, "installed") else []
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and must not harm the others
            yield Model("", stage.name, fault=f"plugin {plugin}: looking raised {type(error).__name__}: {error}")
            continue
        for reference, size in listed:
            told.add(reference)
            yield Model(reference, stage.name, float(size), slots=tuple(slots.get(reference, ())))
    for reference, names in slots.items():
        if reference not in told:
            yield _named(reference, tuple(names), host)


def _named(reference: str, slots: tuple[str, ...], host: Host) -> Model:
    name = ""
    try:
        claimed = claim(reference, host.sources())
        name = claimed.stage.name
        if claimed.stage.traits(claimed.settings).network:
            return Model(reference, name, fault="not on this machine: it is fetched when first used", slots=slots)
        return Model(reference, name, claimed.stage.inspect(claimed.settings).fact("bytes"), slots=slots)
    except KistackError as error:
        return Model(reference, name, fault=error.message, slots=slots)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        return Model(reference, name, fault=f"{name} raised {type(error).__name__}: {error}", slots=slots)


def _broken_install(needed: tuple[Library, ...], host: Host) -> Iterator[str]:
    if sys.version_info < _PYTHON:
        yield f"Python {platform.python_version()} is older than {'.'.join(map(str, _PYTHON))}"
    for library in needed:
        remedy = f"pip install '{library.name}{f'>={library.least}' if library.least else ''}'"
        who = ", ".join(library.needed_by)
        if library.state == "missing":
            yield f"{library.name} is not installed, which {who} needs: {remedy}"
        elif library.state == "too old":
            yield f"{library.name} {library.version} is too old for {who}: {remedy}"
    yield from host.problems
    for name, entry in sorted(host.stages.items()):
        try:
            traits = host.traits(name)
            missing = [p for p in traits.packages if traits.environment is None and not _is_there(p)]
        except Exception:  # noqa: BLE001, S112 - stages that need settings have no traits by default
            continue
        if missing:
            yield f"{name} of plugin {entry.plugin} lacks {', '.join(missing)}"


def _is_there(package: str) -> bool:
    """Whether a package can be imported; only the outermost is looked for, which imports nothing."""
    return importlib.util.find_spec(package.partition(".")[0]) is not None


def _broken_project(project: dict[str, str], store: Health, models: tuple[Model, ...]) -> Iterator[str]:
    if project["fault"]:
        yield f"the scenario cannot be read: {project['fault']}"
    if not store.writable:
        yield f"{project['folder'] or 'the folder'} cannot be written"
    if store.ledger not in {"ok", "absent"}:
        yield f"the ledger is {store.ledger}" if not store.ledger.startswith("cannot") else f"the ledger {store.ledger}"
    for model in models:
        if model.fault and not model.fault.startswith("not on this machine"):
            yield f"model {model.reference or model.source}: {model.fault}"


def _notes(host: Host, store: Health) -> Iterator[str]:
    for kind in (*TECHNIQUES, *_AROUND):
        if not host.stages_of(kind):
            yield f"no installed plugin has a stage of kind {kind!r}"
    for name, own in lacking(host).items():
        yield f"{name} needs its environment: {own.remedy}"
    off = [p.name for p in host.plugins if p.state == "disabled"]
    if off:
        yield f"switched off by KISTACK_DISABLE_PLUGINS: {', '.join(off)}"
    if store.faults:
        yield "what is damaged in the store is made again when it is next needed; kistack store verify drops it now"
    if store.unseen:
        yield f"{store.unseen} artifacts were not looked at for lack of time: kistack store verify reads all"


def _environments(host: Host) -> Iterator[dict[str, str]]:
    for found in declared(host):
        own = found.environment
        ready = own.is_made
        state = "ready" if ready else f"not made: {own.remedy}"
        folder = str(own.folder) if ready else ""
        yield {"name": own.name, "plugins": ", ".join(found.plugins), "state": state, "folder": folder}


# --- secrets

_TOKEN = re.compile(r"\b(?:hf_|sk-|ghp_|github_pat_|glpat-|xox[a-z]-|AKIA)[\w-]{10,}")
_USER = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(\w+://[^\s?'\"]*)\?[^\s'\"]*")


def _without_secrets(found: Diagnosis) -> Diagnosis:
    return Diagnosis(**{name: _cleaned(getattr(found, name)) for name in Diagnosis.__dataclass_fields__})


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return redacted(value)
        case dict():
            return {key: _cleaned(inner) for key, inner in value.items()}
        case list() | tuple():
            return type(value)(_cleaned(inner) for inner in value)
        case Library() | Extra() | Model() | Health():
            fields = type(value).__dataclass_fields__
            return type(value)(**{name: _cleaned(getattr(value, name)) for name in fields})
        case _:
            return value


def redacted(text: str) -> str:
    """A text with ``~`` for the home directory, and without tokens, and users and queries of addresses."""
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(re.escape(home) + r"(?![\w-]|\.\w)", "~", text)
    text = _QUERY.sub(r"\1?…", _USER.sub("", text))
    return _TOKEN.sub("…", text)
