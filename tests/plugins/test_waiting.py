"""How threads wait: for a worker's environment and for what is loaded into this process; the user's word goes first."""

import os
import subprocess
import sys

import pytest

from kistack.execution.preparation import environment
from kistack.plugins.stages import Traits
from kistack.plugins.waiting import BRIEF, brief_waiting, waiting_briefly

CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)


def test_a_worker_is_told_to_wait_briefly():
    rounds = int(environment(Traits())["GOMP_SPINCOUNT"])
    # Not at once, and far below what GNU OpenMP takes by itself.
    assert 0 < rounds < 300_000


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "PASSIVE")])
def test_what_the_user_has_set_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert brief_waiting() == {}
    assert not set(CHOICES) & environment(Traits()).keys()
    with waiting_briefly():
        assert [os.environ.get(n) for n in CHOICES] == [value if n == name else None for n in CHOICES]
    assert os.environ[name] == value


def test_it_holds_while_anything_is_loaded():
    rounds = brief_waiting()["GOMP_SPINCOUNT"]
    first, second = waiting_briefly(), waiting_briefly()
    first.__enter__()
    second.__enter__()
    assert os.environ["GOMP_SPINCOUNT"] == rounds
    first.__exit__(None, None, None)
    assert os.environ["GOMP_SPINCOUNT"] == rounds
    # a worker that is started meanwhile waits briefly too
    assert environment(Traits())["GOMP_SPINCOUNT"] == rounds
    second.__exit__(None, None, None)
    assert "GOMP_SPINCOUNT" not in os.environ


def test_within_it_another_number_of_rounds_may_hold(monkeypatch):
    # as a worker is started
    monkeypatch.setenv("GOMP_SPINCOUNT", str(BRIEF))
    with waiting_briefly(3):
        assert os.environ["GOMP_SPINCOUNT"] == "3"
        with waiting_briefly():
            assert os.environ["GOMP_SPINCOUNT"] == str(BRIEF)
    assert os.environ["GOMP_SPINCOUNT"] == str(BRIEF)


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is what PyTorch uses on Linux")
def test_the_library_hears_it():
    """GNU OpenMP prints what it has read when it is loaded with OMP_DISPLAY_ENV."""
    code = (
        "from kistack.plugins.waiting import waiting_briefly\nwith waiting_briefly():\n    import torch\ntorch.ones(4)"
    )
    run = [sys.executable, "-c", code]
    told = subprocess.run(
        run, env={**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}, capture_output=True, text=True, check=True
    )
    assert f"GOMP_SPINCOUNT = '{brief_waiting()['GOMP_SPINCOUNT']}'" in told.stderr
