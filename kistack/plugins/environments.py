"""Environments of plugins' own, for dependencies that clash with others': what they are, where they lie, what is there.

Nothing is installed here: that is for ``kistack.plugins.installing``, which only ``kistack plugins env create`` calls.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from kistack.errors import InputError, PluginError

FOLDER_VARIABLE = "KISTACK_ENVIRONMENTS"
#: Written last into an environment: without it there is none.
RECORD_FILE = "environment.json"
#: What kistack itself imports where a stage runs or is opened. A test compares it with what workers really import.
WORKER_NEEDS = ("filelock", "pluggy", "psutil", "pydantic", "pyyaml")

#: Raised when environments are made in another way, so that none made before is taken for one of today.
_FORMAT = 1
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][\w.-]*")
_LINKS = "linked"
#: Where this kistack lies, which need not be where another interpreter would look.
_HOME = Path(__file__).resolve().parents[2]
#: What would bring libraries of another environment along.
_LEADING_ELSEWHERE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs kistack's code, and folders in which it finds what it does not have itself.

    ``apart``: none of this process's own libraries may reach it. ``whole``: the folders are all that this process
    searches, and are searched in that order.
    """

    python: str
    path: tuple[str, ...]
    apart: bool = False
    whole: bool = False

    def command(self, module: str, *arguments: str) -> list[str]:
        """The command that calls ``main(arguments)`` of a module and ends with what it returns."""
        told = "sys.argv[1].split(os.pathsep)"
        found = f"sys.path[:] = dict.fromkeys([*{told}, *sys.path])" if self.whole else f"sys.path.extend({told})"
        start = f"import os, sys; {found}; from {module} import main; sys.exit(main(sys.argv[2:]))"
        # -P: a user's folder may hold files with the names of modules.
        return [self.python, "-P", "-c", start, os.pathsep.join(self.path), *arguments]

    def variables(self) -> dict[str, str]:
        """The environment variables it is started with."""
        kept = {n: v for n, v in os.environ.items() if not (self.apart and n in _LEADING_ELSEWHERE)}
        # Sets of strings must have one order in every run.
        return {**kept, "PYTHONHASHSEED": "0", **({"PYTHONNOUSERSITE": "1"} if self.apart else {})}


def this_interpreter(path: Iterable[str] | None = None) -> Interpreter:
    """The Python that runs this; ``path`` is all that it is to search (default: what it does by itself)."""
    if path is None:
        return Interpreter(sys.executable, (str(_HOME),))
    return Interpreter(sys.executable, tuple(path), whole=True)


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of a plugin's own: stages whose traits name it run and are opened there, and nowhere else.

    Nothing of the environment that kistack is installed in reaches it but the source of kistack, of the stage's own
    package, and of ``packages``.

    Args:
        name: lower-case words joined by hyphens.
        lock: a file of pinned requirements, as ``pip install -r`` reads it.
        packages: names under which further packages of pure Python are imported, such as ``kistack_torch``; what
            they need must be in the lock file.

    Raises:
        ValueError: the name is not written like that.

    """

    name: str
    lock: Path
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"environment {self.name!r} must be named in lower-case words joined by hyphens")

    @property
    def digest(self) -> str:
        """What tells it from one of another lock file, Python or kistack: 12 hexadecimal digits.

        Raises:
            PluginError: the lock file cannot be read.

        """
        try:
            return _digest(self.lock, self.lock.stat().st_mtime_ns)
        except (OSError, ValueError) as error:
            raise PluginError(
                f"environment {self.name!r}: its lock file {self.lock} cannot be read: {error}", "reinstall the plugin"
            ) from error

    @property
    def folder(self) -> Path:
        """Where it lies once it is made: a changed lock file means another folder."""
        return environments_folder() / f"{self.name}-{self.digest}"

    @property
    def is_made(self) -> bool:
        """Whether it is there, and whole; one whose lock file cannot be read is not."""
        try:
            return (self.folder / RECORD_FILE).is_file()
        except PluginError:
            return False

    @property
    def remedy(self) -> str:
        """The command that makes it."""
        return f"kistack plugins env create {self.name}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return Path(_place(self.folder, "scripts"), "python")

    @property
    def sites(self) -> tuple[str, ...]:
        """The folders of its libraries."""
        return tuple(dict.fromkeys(_place(self.folder, kind) for kind in ("purelib", "platlib")))

    def lack(self, stage: str) -> tuple[str, str]:
        """What is wrong and what to do where a stage needs it and it is not made."""
        return f"{stage} needs its environment {self.name!r}, which is not made yet", self.remedy

    def linked_packages(self, modules: Iterable[str]) -> set[str]:
        """The packages of kistack and plugins that reach it by links, where stages of these modules run."""
        return {"kistack", *self.packages, *(m.partition(".")[0] for m in modules)}

    def version(self, distribution: str) -> str:
        """Version of a distribution in it, empty where it is missing."""
        return _version(distribution, self.sites)

    def interpreter(self, stage: str, modules: Iterable[str]) -> Interpreter:
        """Its Python, which finds kistack and the packages of these modules as they are here.

        Args:
            stage: who needs it, for messages.
            modules: modules of the stages that are to run there.

        Raises:
            InputError: it is not made.
            PluginError: a package is not found here.

        """
        if not self.is_made:
            raise InputError(*self.lack(stage))
        links = linked(self.folder / _LINKS, self.linked_packages(modules))
        return Interpreter(str(self.python), (str(links),), apart=True)


def environments_folder() -> Path:
    """Where environments lie: ``$KISTACK_ENVIRONMENTS``, else ``kistack/environments`` in the user's data folder."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser().absolute()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share", "kistack", "environments")


@cache
def worker_requirements() -> tuple[str, ...]:
    """What must be installed in every environment, as kistack's own metadata bounds it."""
    found = dict.fromkeys(WORKER_NEEDS, "")
    try:
        lines = metadata.requires("kistack") or []
    except metadata.PackageNotFoundError:
        lines = []
    for line in lines:
        match = _DISTRIBUTION.match(line)
        name = re.sub(r"[-_.]+", "-", match.group()).lower() if match else ""
        if name in found and ";" not in line:
            found[name] = line.replace(" ", "")
    return tuple(line or name for name, line in found.items())


@cache
def _digest(lock: Path, _changed: int) -> str:
    text = lock.read_text(encoding="utf-8")
    python = [sys.implementation.cache_tag, sysconfig.get_platform()]
    document = json.dumps([_FORMAT, python, text, worker_requirements()])
    return hashlib.sha256(document.encode()).hexdigest()[:12]


def _place(folder: Path, kind: str) -> str:
    base = str(folder)
    return sysconfig.get_path(kind, "venv", {"base": base, "platbase": base, "installed_base": base})


@cache
def _version(distribution: str, sites: tuple[str, ...]) -> str:
    found = next(iter(metadata.distributions(name=distribution, path=list(sites))), None)
    return "" if found is None else found.version


def linked(folder: Path, packages: Iterable[str]) -> Path:
    """A folder below ``folder`` that holds links to these packages, and nothing else of where they lie.

    Raises:
        PluginError: one of them is not found here.

    """
    targets = {name: str(_home_of(name)) for name in sorted(packages)}
    place = folder / hashlib.sha256(json.dumps(targets).encode()).hexdigest()[:12]
    if not place.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
            whole = Path(made, "whole")
            whole.mkdir()
            for target in targets.values():
                (whole / Path(target).name).symlink_to(target)
            try:
                whole.rename(place)
            except OSError:
                # Another process was quicker.
                if not place.is_dir():
                    raise
    return place


def _home_of(package: str) -> Path:
    """The folder of a package, or the file of a module; it is not imported."""
    if package == "kistack":
        return _HOME / "kistack"
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    if spec is not None and spec.origin:
        return Path(spec.origin).resolve()
    raise PluginError(f"package {package!r}, which a plugin's environment names, is not installed", "install it")
