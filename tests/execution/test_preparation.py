"""Where a node runs, and where what it opens is opened."""

import sys

import apart
import pytest
import toys
from chores import given, node
from isolated import fake_pip

from kistack.errors import InputError
from kistack.execution.preparation import Resolver, import_path
from kistack.plugins.environments import this_interpreter
from kistack.plugins.host import load_host
from kistack.plugins.installing import create
from kistack.plugins.stages import Port, Traits

KEY = "a" * 64


@pytest.fixture
def resolve():
    host = load_host(entry_points=False, extra={"toys": toys, "apart": apart})
    return Resolver(type("Pipeline", (), {"nodes": ()})(), host)


@pytest.fixture
def made(environments, tmp_path):
    create(apart.APART, pip=fake_pip(tmp_path / "pip"))


def asking(opener, *, environment=None):
    """A node that opens one port, with that stage."""
    traits = Traits(consumes={"model": Port(kind="model", opened=True)}, environment=environment)
    stage = toys.ToyPerplexity() if environment is None else apart.ApartQuantize()
    inputs = {"model": given("model", "models/1", "model", "toy")}
    return node(stage, KEY, inputs=inputs, openers={"model": (opener, {})}, traits=traits)


def test_without_environments_all_of_it_happens_here(resolve):
    here = asking("runtime/toy")
    assert resolve.interpreter(here) == this_interpreter()
    assert resolve.remotes(here) == {}


def test_what_lives_elsewhere_is_opened_there(resolve, made):
    found = resolve.remotes(asking("runtime/apart"))["model"]
    assert (found.who, found.stage) == ("runtime/apart (plugin apart)", "apart:ApartRuntime")
    assert found.interpreter.python == str(apart.APART.python)
    assert found.interpreter.apart


def test_there_what_lives_here_is_opened_as_it_is_found_here(resolve, made):
    found = resolve.remotes(asking("runtime/toy", environment=apart.APART))["model"]
    assert found.who == "runtime/toy (plugin toys)"
    assert found.interpreter.python == sys.executable
    assert found.interpreter.path == import_path()
    assert found.interpreter.whole
    assert not found.interpreter.apart


def test_of_one_environment_no_second_process_is_needed(resolve, made):
    there = asking("runtime/apart", environment=apart.APART)
    assert resolve.remotes(there) == {}
    assert resolve.interpreter(there).python == str(apart.APART.python)


def test_an_environment_that_is_gone_is_told_with_the_command_that_makes_it(resolve, environments):
    for ask in (lambda: resolve.remotes(asking("runtime/apart")),
                lambda: resolve.interpreter(asking("runtime/toy", environment=apart.APART))):  # fmt: skip
        with pytest.raises(InputError, match="needs its environment 'apart'") as caught:
            ask()
        assert caught.value.hint == "kistack plugins env create apart"
