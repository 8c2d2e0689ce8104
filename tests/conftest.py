"""A project of toy documents, toy pairs and a toy model: everything real but the arithmetic."""

import hypothesis
import pytest
import toys
from toyproject import write_toy_project

from kistack.bundle.workspace import Workspace
from kistack.plugins.host import load_host

# How long an example takes says how busy the machine is, not whether the property holds.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture
def toy_project(tmp_path):
    return write_toy_project(tmp_path / "project")


@pytest.fixture
def toy_host():
    return load_host(entry_points=False, extra={"toys": toys})


@pytest.fixture
def toy_place(toy_project, toy_host):
    return Workspace.find(toy_project, host=toy_host)
