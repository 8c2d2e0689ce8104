"""The wizard on the toy project, with caches of its own."""

import pytest

from kistack.tui.session import Session


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What the wizard remembers of a user stays out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kistack"


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
