"""Making and removing environments of plugins' own. ``kistack plugins env create`` alone leads here."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from kistack.errors import InputError, KistackError
from kistack.plugins.environments import (
    RECORD_FILE,
    Environment,
    Interpreter,
    environments_folder,
    linked,
    worker_requirements,
)

if TYPE_CHECKING:
    from kistack.plugins.host import Host

#: What starts pip for another interpreter; the interpreter and pip's own arguments follow.
PIP = (sys.executable, "-m", "pip", "--python")
_INSTALL = ("install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")
#: Before the name of an environment, a dot and what tells it from others: names have no dots.
_MAKING = ".making-"
_LAST_LINES = 40
#: Words of pip's when the index cannot be reached.
_UNREACHABLE = ("connection", "max retries", "name resolution", "unreachable", "proxyerror", "timed out", "sslerror")
#: Imported in a new environment, beside the modules of its stages, before it counts as made.
_TRIED = ("kistack.execution.worker", "kistack.execution.remote")
_TRY = "import importlib, sys; sys.path.append(sys.argv[1]); [importlib.import_module(m) for m in sys.argv[2:]]"


@dataclass(frozen=True, slots=True)
class Declared:
    """An environment that plugins declare, and the stages whose traits, under default settings, name it."""

    environment: Environment
    plugins: tuple[str, ...]
    stages: tuple[str, ...]


def declared(host: Host) -> list[Declared]:
    """The environments of installed plugins, by name; the same one declared twice is told once."""
    owners: dict[Environment, list[str]] = {}
    for plugin, environment in host.environments():
        owners.setdefault(environment, []).append(plugin)
    users = {e: tuple(n for n, own in _using(host).items() if own == e) for e in owners}
    return [Declared(e, tuple(who), users[e]) for e, who in sorted(owners.items(), key=lambda o: o[0].name)]


def lacking(host: Host) -> dict[str, Environment]:
    """Stages that cannot run yet, each with its environment, which is not made."""
    return {name: own for name, own in _using(host).items() if not own.is_made}


def _using(host: Host) -> dict[str, Environment]:
    """Stages with an environment of their own; those that need settings to say so are left out."""
    found = {}
    for stage in host.defaulting():
        try:
            own = host.traits(stage.name).environment
        except KistackError:
            continue
        if own is not None:
            found[stage.name] = own
    return found


def find(host: Host, name: str) -> Declared:
    """The environment of that name.

    Raises:
        InputError: no installed plugin declares it, or two declare different ones.

    """
    known = declared(host)
    found = [d for d in known if d.environment.name == name]
    if not found:
        names = ", ".join(dict.fromkeys(d.environment.name for d in known)) or "none"
        raise InputError(f"no installed plugin has an environment {name!r}", f"environments: {names}")
    if len(found) > 1:
        who = " and ".join(p for d in found for p in d.plugins)
        raise InputError(f"environment {name!r} is declared differently by {who}", "uninstall one of them")
    return found[0]


def create(
    environment: Environment,
    modules: Sequence[str] = (),
    *,
    notify: Callable[[str], None] = lambda _line: None,
    pip: Sequence[str] = (),
) -> Path:
    """Make an environment; one that is there already is left as it is.

    It is made beside its place and renamed when it is whole, so that whatever stops this leaves none.

    Args:
        environment: what to make.
        modules: modules of its stages, which must be importable in it.
        notify: told what goes on, line by line.
        pip: the command that installs (default: ``PIP``).

    Raises:
        KistackError: pip fails, or kistack or a module cannot be imported in it.
        OSError: the folder cannot be written.

    """
    root = environments_folder()
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / f".{environment.name}.lock")
    with _alone(lock, notify):
        # Nobody else is making it now: these were left by who was killed.
        for left in root.glob(f"{_MAKING}{environment.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        if environment.is_made:
            return environment.folder
        making = Path(tempfile.mkdtemp(dir=root, prefix=f"{_MAKING}{environment.name}."))
        try:
            _make(environment, making, modules, notify, pip or PIP)
            if environment.folder.exists():
                shutil.rmtree(environment.folder)
            making.rename(environment.folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return environment.folder


@contextlib.contextmanager
def _alone(lock: FileLock, notify: Callable[[str], None]) -> Iterator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        notify("another process is making it: waiting for its end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(
    environment: Environment, making: Path, modules: Sequence[str], notify: Callable[[str], None], pip: Sequence[str]
) -> None:
    import venv

    notify(f"making environment {environment.name} from {environment.lock}")
    venv.EnvBuilder(symlinks=True).create(making)
    python = making / environment.python.relative_to(environment.folder)
    apart = Interpreter(str(python), (), apart=True)
    said = environments_folder() / f"{environment.name}.log"
    said.unlink(missing_ok=True)
    # A lock file names all that is needed, and may leave out what a library only says it needs.
    for wanted in (["--no-deps", "-r", str(environment.lock)], worker_requirements()):
        failed = _run([*pip, str(python), *_INSTALL, *wanted], apart.variables(), said, notify)
        if failed is not None:
            raise _failure(environment, failed, said)
    notify("trying whether kistack can work in it")
    links = linked(making / "tried", environment.linked_packages(modules))
    tried = [str(python), "-P", "-c", _TRY, str(links), *_TRIED, *modules]
    failed = _run(tried, apart.variables(), said, notify)
    if failed is not None:
        reason = failed[-1] if failed else "it ended without a word"
        raise KistackError(
            f"environment {environment.name!r} lacks something: {reason}",
            f"its lock file is at fault: report it to the plugin's author; all that was said is in {said}",
        )
    shutil.rmtree(making / "tried")
    record = {"schema": 1, "name": environment.name, "lock": str(environment.lock), "python": sys.version.split()[0]}
    (making / RECORD_FILE).write_text(json.dumps(record), encoding="utf-8")


def _run(
    command: Sequence[str], variables: dict[str, str], said: Path, notify: Callable[[str], None]
) -> list[str] | None:
    """Run it to its end, its words told and kept in a file; None where it went well, else its last lines."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with said.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=variables,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if told := line.rstrip():
                    last.append(told)
                    notify(told)
            return None if process.wait() == 0 else list(last)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _failure(environment: Environment, said: Sequence[str], log: Path) -> KistackError:
    """What pip's words mean, and what to do about it."""
    what = f"environment {environment.name!r} cannot be made"
    low = "\n".join(said).casefold()
    if "no module named pip" in low:
        return KistackError(f"{what}: {sys.executable} has no pip", f"run {sys.executable} -m ensurepip, then again")
    if "no space left" in low:
        return KistackError(f"{what}: the disk is full", f"free some, or set another folder; pip's words are in {log}")
    lines = [line.strip() for line in said if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    reason = (errors or lines or ["nothing"])[-1]
    if any(words in low for words in _UNREACHABLE):
        hint = "check the network and pip's settings"
    else:
        hint = "check pip's settings, or report it to the plugin's author"
    return KistackError(f"{what}: pip says {reason!r}", f"{hint}; all its words are in {log}")


def made(name: str = "") -> list[Path]:
    """Folders of whole environments, those of earlier lock files too: all, or those of one name."""
    folders = sorted(f.parent for f in environments_folder().glob(f"*/{RECORD_FILE}"))
    return [f for f in folders if not f.name.startswith(".") and name in {"", f.name.rpartition("-")[0]}]


def remove(name: str) -> list[Path]:
    """Remove every environment of that name; returns the folders that were.

    Raises:
        InputError: there is none.
        OSError: one cannot be removed.

    """
    folders = made(name)
    if not folders:
        raise InputError(f"there is no environment {name!r} to remove", "see: kistack plugins env list")
    for folder in folders:
        # First out of the way, so that nobody takes half of one for a whole.
        gone = folder.with_name(f"{_MAKING}{name}.{folder.name}")
        folder.rename(gone)
        shutil.rmtree(gone)
    return folders


def contents(environment: Environment) -> dict[str, str]:
    """Distributions in it and their versions, by name."""
    found = {d.name: d.version for d in metadata.distributions(path=list(environment.sites))}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
