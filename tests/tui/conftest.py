"""The wizard on the toy project, with caches of its own."""

import os
import shutil
from importlib import metadata
from pathlib import Path

import psutil
import pytest
from tui.piloting import write_distribution

from kistack.bundle.archive import kept_run
from kistack.bundle.workspace import Workspace
from kistack.plugins.host import load_host
from kistack.profiling.cache import Cache
from kistack.profiling.hardware import probe
from kistack.tui.session import Session

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def measured_machine(tmp_path_factory):
    """A cache in which this machine's speeds are: measuring them takes seconds, in every process that has none."""
    folder = tmp_path_factory.mktemp("machine")
    probe(folder, Cache(folder))
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, measured_machine, measured_once):
    """What the wizard remembers of a user stays out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(measured_machine, tmp_path / "cache" / "kistack")
    return tmp_path / "cache" / "kistack"


_RAN = {}


@pytest.fixture
def ran(tmp_path_factory):
    """Runs plans in a project and returns their records; equal ones are run once, then their files are copied."""

    def run(place, *plans):
        key = repr([plan.to_dict() for plan in plans])
        if key not in _RAN:
            for plan in plans:
                place.run(place.compose(plan))
            _RAN[key] = tmp_path_factory.mktemp("ran") / "work"
            shutil.copytree(place.project.work, _RAN[key])
        else:
            shutil.copytree(_RAN[key], place.project.work, dirs_exist_ok=True)
        return [kept_run(folder).record for folder in sorted(place.project.runs.iterdir())]

    return run


@pytest.fixture
def session(toy_project, toy_host):
    return Session(toy_project, host=toy_host)


@pytest.fixture
def opened(session, toy_place):
    """A session whose project is open, profiled and judged, without any screen."""
    from kistack.advisor.judging import Bench

    session.use(toy_place)
    session.profile = toy_place.profile()
    session.facts = dict(session.profile.facts)
    session.bench = Bench(session.scenario, session.profile, toy_place.host)
    return session


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path of this process and of its children, who have the same kistack."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    path = [str(folder), str(TESTS.parent), *map(str, TESTS.parent.glob("plugins/*/src"))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    return folder


@pytest.fixture
def only_toys(site, monkeypatch):
    """Toys as the only plugins, in this process and its children."""
    real = [p.name for p in metadata.entry_points(group="kistack")]
    monkeypatch.setenv("KISTACK_DISABLE_PLUGINS", ",".join(real))
    write_distribution(site, "toys", toys=(TESTS / "toys.py").read_text())
    return site


@pytest.fixture
def desk(only_toys, toy_project, tmp_path):
    """The toy project at work, and what runs there ended with the test: runs outlive their wizard."""
    yield Workspace.find(toy_project, host=load_host())
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "kistack" in " ".join(words) and any(str(tmp_path) in w for w in words):
            process.kill()


@pytest.fixture
def desk_session(desk):
    """A session with plugins that child processes have too."""
    return Session(desk.project.root, host=desk.host)
