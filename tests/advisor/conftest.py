import pytest
from advisor import onpaper

from kistack.domain.scenario import Scenario
from kistack.plugins.host import load_host


@pytest.fixture(scope="session")
def host():
    return load_host(entry_points=False, extra={"paper": onpaper}, disabled=())


@pytest.fixture(scope="session")
def scenario():
    return Scenario(name="paper", models={"base": "paper:135m"})
