"""Versions of the plugin API, and plugins that spoil the process they are loaded into."""

import importlib.util
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pluggy
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

import kistack
from kistack.bundle.workspace import Workspace
from kistack.plugins import API_VERSION, builtins, hookspecs, loading
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.loading import Loading, api_fault, register

WRITTEN_FOR_0_9 = Path(__file__).parent / "data" / "written_for_0_9.py"


@pytest.fixture
def old(monkeypatch):
    """The plugin written against 0.9, as a module that workers find too."""
    monkeypatch.syspath_prepend(WRITTEN_FOR_0_9.parent)
    spec = importlib.util.spec_from_file_location("written_for_0_9", WRITTEN_FOR_0_9)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "written_for_0_9", module)
    spec.loader.exec_module(module)
    return module


def test_a_plugin_written_against_0_9_runs_in_a_plan_and_is_judged(old, toy_project):
    host = load_host(entry_points=False, extra={"toys": toys, "old": old})
    assert host.problems == ()
    assert [p.notes for p in host.plugins if p.name == "old"] == [()]
    place = Workspace.find(toy_project, host=host)
    record = place.run(
        place.compose(kistack.Plan(steps=(kistack.Step(use="retrieve/old"), kistack.Step(use="tune/toy"))))
    )
    assert record.status == "done"
    assert host.problems == ()
    assert record.systems["plan"].metrics["contained"].value == 1
    assert any(s.use == "retrieve/old" for c in place.advise().candidates for s in c.plan.steps)


def test_the_core_states_the_version_it_keeps():
    assert api_fault(API_VERSION) == ""
    assert getattr(builtins, "KISTACK_API", None) is None


@pytest.mark.parametrize(
    ("declared", "ours", "said"),
    [
        (None, "0.9", ""),
        ("0.9", "0.9", ""),
        ("0.8", "0.9", ""),
        ("0.10", "0.9", "update kistack"),
        ("1.0", "0.9", "update kistack"),
        ("0.9", "1.0", "update the plugin"),
        ("1.0", "1.4", ""),
        ("1.5", "1.4", "update kistack"),
        ("latest", "0.9", "must read like"),
        (0.9, "0.9", "must read like"),
    ],
)
def test_which_versions_are_served(declared, ours, said):
    fault = api_fault(declared, ours)
    assert (said in fault) if said else fault == ""


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary()))
def test_anything_else_declared_is_one_line(declared):
    assert "\n" not in api_fault(declared)


def test_a_plugin_of_another_major_version_is_set_aside_with_one_line():
    newer = SimpleNamespace(KISTACK_API="2.0", kistack_register_tuners=hookimpl(lambda: 1 / 0))
    host = load_host(entry_points=False, extra={"newer": newer, "toys": toys})
    [line] = host.problems
    assert (
        line == f"plugin newer: it was written against plugin API 2.0, this kistack has {API_VERSION}: update kistack"
    )
    assert "tune/toy" in host.stages


def test_a_hook_that_goes_away_is_noted_for_the_author_and_still_called():
    manager = pluggy.PluginManager("kistack")

    class Specs:
        @staticmethod
        @hookspecs.hookspec(warn_on_impl=DeprecationWarning("kistack_old goes away in 0.10: use kistack_new"))
        def kistack_old():
            """An old hook."""

    manager.add_hookspecs(Specs)
    known = Loading("late")
    register(manager, known, lambda: SimpleNamespace(kistack_old=hookimpl(lambda: 7)))
    assert known.errors == []
    assert known.notes == ["kistack_old goes away in 0.10: use kistack_new"]
    assert manager.hook.kistack_old() == [7]


def load(act):
    manager, known = pluggy.PluginManager("kistack"), Loading("bad")
    manager.add_hookspecs(hookspecs)
    register(manager, known, act)
    return known


def test_a_plugin_that_ends_the_process_while_it_is_imported_is_named():
    [error] = load(lambda: sys.exit(3)).errors
    assert error == "cannot be imported: SystemExit: 3"


def test_a_plugin_that_hangs_while_it_is_imported_is_given_up_even_if_it_catches_everything(monkeypatch):
    monkeypatch.setattr(loading.patience, "IMPORT_SECONDS", 0.1)

    def hang():
        while True:
            try:
                time.sleep(30)
            except Exception:  # noqa: BLE001 - as some plugins do
                continue

    start = time.perf_counter()
    assert load(hang).errors == ["cannot be imported within 0.1 seconds"]
    assert time.perf_counter() - start < 10


def test_what_a_plugin_prints_does_not_reach_the_result(capsys):
    class Loud(toys.ToyMerge):
        name = "merge/loud"

        def traits(self, settings):
            print("traits")
            return super().traits(settings)

    class Plugin:
        @hookimpl
        def kistack_register_stages(self):
            print("hook")
            return [Loud]

    host = load_host(entry_points=False, extra={"loud": Plugin(), "toys": toys})
    assert host.traits("merge/loud").auto
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.split() == ["hook", "traits"]


def test_plugins_load_in_another_thread_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(load_host(entry_points=False, extra={"toys": toys})))
    thread.start()
    thread.join()
    assert "tune/toy" in found[0].stages
