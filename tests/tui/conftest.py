"""The wizard on real projects: toys or tiny models, installed so that child processes have them too."""

import os
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from kistack.bundle.workspace import Workspace
from kistack.plugins.host import load_host
from kistack.tui.app import WizardApp
from kistack.tui.session import Session

TESTS = Path(__file__).resolve().parents[1]
SIZES = [(80, 24), (160, 50)]


def write_distribution(site, name, **modules):
    """A distribution of that name whose modules (source by name) are plugins."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{module} = {module}\n" for module in modules)
    (info / "entry_points.txt").write_text(f"[kistack]\n{points}")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path of this process and of its children."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    # The same kistack in all processes, whichever is installed.
    home = str(TESTS.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), home, os.environ.get("PYTHONPATH", "")]))
    return folder


@pytest.fixture
def only_toys(site, monkeypatch):
    """Toys as the only plugins, in this process and its children."""
    real = [p.name for p in metadata.entry_points(group="kistack")]
    monkeypatch.setenv("KISTACK_DISABLE_PLUGINS", ",".join(real))
    write_distribution(site, "toys", toys=(TESTS / "toys.py").read_text())
    return site


@pytest.fixture
def desk(only_toys, toy_project):
    """The toy project at work."""
    return Workspace.find(toy_project, host=load_host())


@pytest.fixture
def session_of():
    """A session with a project open."""

    def make(place, **known):
        session = Session(place.project.root)
        session.use(place)
        session.profile = place.profile()
        for name, value in known.items():
            setattr(session, name, value)
        return session

    return make


@pytest.fixture
def wizard(session_of):
    """A wizard with a project open."""
    return lambda place, **known: WizardApp(session_of(place, **known))


async def until(pilot, happens, seconds=60.0):
    """Let the wizard work until something holds."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happens():
            return
        await pilot.pause(0.05)
    raise AssertionError("it did not happen in time: " + status(pilot.app))


def status(app):
    """The status line."""
    return str(app.shown.query_one("#status").render()) if app.shown is not None else ""


async def go(pilot, name):
    """Show a step."""
    pilot.app.action_go(name)
    await pilot.pause()
    await pilot.pause()
    assert pilot.app.shown.STEP == name, status(pilot.app)
    return pilot.app.shown


@pytest.fixture(autouse=True)
def _no_run_left(request):
    """Runs outlive their wizard: what a test leaves behind is ended."""
    yield
    me = str(request.node.funcargs.get("tmp_path", ""))
    if not me:
        return
    for process in psutil.process_iter(["cmdline"]):
        if "kistack" in (words := process.info["cmdline"] or []) and any(me in w for w in words):
            process.kill()
