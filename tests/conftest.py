"""A project of toy documents, toy pairs and a toy model: everything real but the arithmetic."""

import hypothesis
import pytest
import toys
from toyproject import copied, write_toy_project

from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.plugins.host import load_host
from kistack.profiling import hardware

# How long an example takes says how busy the machine is, not whether the property holds.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def _no_environments(tmp_path_factory):
    """Whatever environments the user has made, tests see none of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KISTACK_ENVIRONMENTS", str(tmp_path_factory.getbasetemp() / "no-environments"))
        yield


@pytest.fixture
def environments(tmp_path, monkeypatch):
    """The folder of the environments that a test makes."""
    monkeypatch.setenv("KISTACK_ENVIRONMENTS", str(tmp_path / "environments"))
    return tmp_path / "environments"


_SPEED = {}


@pytest.fixture
def measured_once(monkeypatch):
    """This machine's speed is measured once for all toy projects: each would measure it anew, which takes seconds."""
    real = hardware._measure_speed

    def once(count, free, load):
        if not _SPEED:
            _SPEED.update(real(count, free, load))
        return dict(_SPEED)

    monkeypatch.setattr(hardware, "_measure_speed", once)


@pytest.fixture
def toy_project(tmp_path, measured_once):
    return write_toy_project(tmp_path / "project")


@pytest.fixture
def toy_host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture
def toy_place(toy_project, toy_host):
    return Workspace.find(toy_project, host=toy_host)


@pytest.fixture(scope="session")
def ran_once(tmp_path_factory):
    """A toy project with two runs, of retrieval alone and of three techniques, which tests copy."""
    root = write_toy_project(tmp_path_factory.mktemp("ran") / "project")
    place = Workspace.find(root, host=load_host(entry_points=False, extra={"toys": toys}))
    for uses in (("retrieve/toy",), ("retrieve/toy", "tune/toy", "quantize/toy")):
        place.run(place.compose(Plan(steps=tuple(Step(use=use) for use in uses))))
    return place


@pytest.fixture
def ran_place(ran_once, toy_host, tmp_path, measured_once):
    """The test's own copy of that project; the last run is that of three techniques."""
    return copied(ran_once, tmp_path / "project", toy_host)
