"""Models, commands and environments for tests of the whole."""

import json
import os
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import tinydesk
import toys
from commanding import commands
from filelock import FileLock

from kistack.bundle.workspace import Workspace
from kistack.domain.planfile import load_plan
from kistack.domain.records import RunRecord
from kistack.plugins.host import load_host

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """A folder that all processes of this test session share, and the lock that guards it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "shared"
    folder.mkdir(exist_ok=True)
    return folder, FileLock(folder / "lock")


@pytest.fixture(scope="session")
def tiny_models(shared):
    """A folder with ``llama`` and ``encoder``: the same in all processes, for its path is part of a source's key."""
    folder, lock = shared
    with lock:
        if not (folder / "models").is_dir():
            tinydesk.write_tiny_models(folder / "making")
            (folder / "making").rename(folder / "models")
    return folder / "models"


@pytest.fixture(scope="module")
def one_core():
    """Compute on one core: a tiny model's threads would do nothing but wait for each other."""
    allowed = os.sched_getaffinity(0)
    busy = psutil.cpu_percent(interval=0.2, percpu=True)
    os.sched_setaffinity(0, {min(allowed, key=lambda core: busy[core])})
    yield
    os.sched_setaffinity(0, allowed)


@dataclass(frozen=True)
class Finished:
    """A project in which a plan has run from beginning to end, undisturbed."""

    root: Path
    place: Workspace
    record: RunRecord


@pytest.fixture(scope="module")
def finished(shared, tiny_models, one_core):
    """All four techniques, once."""
    folder, lock = shared
    root, told = folder / "desk", folder / "record.json"
    with lock:
        if not told.exists():
            tinydesk.write_tiny_project(root, tiny_models)
            place = Workspace.find(root)
            record = place.run(place.compose(load_plan(root / "plan.yaml")))
            told.write_text(json.dumps(record.to_json()))
    return Finished(root, Workspace.find(root), RunRecord.from_json(json.loads(told.read_text())))


@pytest.fixture
def command(monkeypatch, toy_project, capsys):
    """Run a command in the toy project with these plugins beside the toys; returns code, stdout, stderr."""
    monkeypatch.chdir(toy_project)
    monkeypatch.setenv("COLUMNS", "200")

    with commands(capsys) as run:

        def call(*arguments, **plugins):
            host = load_host(entry_points=False, extra={"toys": toys, **plugins})
            for module in ("kistack.cli.places", "kistack.cli.assets", "kistack.cli.bundles", "kistack.cli.demoing"):
                monkeypatch.setattr(f"{module}.host", lambda: host)
            return run(*arguments)

        yield call


@pytest.fixture(scope="session")
def toy_environment(tmp_path_factory):
    """Environment of a process in which toys and misfits are the only installed plugins."""
    site = tmp_path_factory.mktemp("site")
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kistack]\ntoys = toys\nbulky = misfits:bulky\n")
    for module in ("toys.py", "misfits.py"):
        (site / module).write_text((TESTS / module).read_text())
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    real = ",".join(p.name for p in metadata.entry_points(group="kistack") if p.name not in {"toys", "bulky"})
    return {**os.environ, "PYTHONPATH": path, "KISTACK_DISABLE_PLUGINS": real, "COLUMNS": "200"}
