"""Environments of plugins' own: what they are called, where they lie, what reaches them."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from isolated import closure, made_environment

from kistack.errors import InputError, PluginError
from kistack.plugins import environments
from kistack.plugins.environments import (
    RECORD_FILE,
    WORKER_NEEDS,
    Environment,
    Interpreter,
    environments_folder,
    linked,
    this_interpreter,
    worker_requirements,
)

pytestmark = pytest.mark.usefixtures("environments")

#: All that a worker, a session in another environment, or a check of the contract imports of kistack by itself.
_WORKING = (
    "kistack.execution.worker", "kistack.execution.remote", "kistack.testing.observer", "kistack.testing.rehearsal",
    "kistack.plugins.stages", "kistack.plugins.sessions", "kistack.plugins.hookspecs", "kistack.plugins.costs",
    "kistack.plugins.builtins", "kistack.domain.prompt", "kistack.domain.facts", "kistack.domain.records",
)  # fmt: skip
_TOPS = (
    "import importlib, json, sys; sys.path.append(sys.argv[1]); before = set(sys.modules)\n"
    "for name in sys.argv[2:]: importlib.import_module(name)\n"
    "print(json.dumps(sorted({n.partition('.')[0] for n in set(sys.modules) - before})))"
)


def own(tmp_path, text="six==1.17.0\n", name="apart"):
    lock = tmp_path / "lock.txt"
    lock.write_text(text)
    return Environment(name, lock)


def test_what_a_worker_imports_is_what_every_environment_is_given():
    home = str(Path(environments.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-c", _TOPS, home, *_WORKING], capture_output=True, text=True, check=True
    )
    owners = metadata.packages_distributions()
    imported = {d for top in json.loads(done.stdout) for d in owners.get(top, ())} - {"kistack"}
    known = {name.lower().replace("_", "-") for name in imported}
    assert known <= set(closure(WORKER_NEEDS))
    needed_by_others = {n for name in WORKER_NEEDS for n in closure([name]) if n != name}
    assert set(WORKER_NEEDS) == known - needed_by_others


def test_what_it_is_given_is_bounded_as_kistack_itself_is():
    required = {r.partition(";")[0].strip() for r in metadata.requires("kistack") if "extra" not in r}
    assert set(worker_requirements()) <= required
    assert len(worker_requirements()) == len(WORKER_NEEDS)


def test_it_lies_where_the_user_keeps_data_or_where_a_variable_says(monkeypatch, tmp_path):
    monkeypatch.delenv("KISTACK_ENVIRONMENTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert environments_folder() == tmp_path / "data" / "kistack" / "environments"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environments_folder() == tmp_path / ".local" / "share" / "kistack" / "environments"
    monkeypatch.setenv("KISTACK_ENVIRONMENTS", str(tmp_path / "here"))
    assert own(tmp_path).folder.parent == tmp_path / "here"


def test_another_lock_file_is_another_environment(tmp_path, monkeypatch):
    before = own(tmp_path).folder
    assert own(tmp_path).folder == before
    os.utime(tmp_path / "lock.txt", (1, 1))
    assert own(tmp_path, "six==1.16.0\n").folder != before
    again = own(tmp_path)
    assert again.folder == before
    monkeypatch.setattr(environments.sysconfig, "get_platform", lambda: "linux-other")
    os.utime(tmp_path / "lock.txt", (2, 2))
    assert again.folder != before


@pytest.mark.parametrize("name", ["", "Apart", "a b", "../up", "a_b", "-a", "a-"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="lower-case words"):
        Environment(name, Path("lock.txt"))


def test_without_its_lock_file_it_is_the_plugins_fault(tmp_path):
    found = Environment("apart", tmp_path / "none.txt")
    with pytest.raises(PluginError, match="its lock file") as caught:
        _ = found.folder
    assert caught.value.hint == "reinstall the plugin"
    # Lists of plugins must go on without it.
    assert not found.is_made


def test_half_an_environment_is_none(tmp_path):
    found = own(tmp_path)
    found.folder.mkdir(parents=True)
    assert not found.is_made
    (found.folder / RECORD_FILE).write_text("{}")
    assert found.is_made


def test_where_it_is_not_made_the_command_that_makes_it_is_told(tmp_path):
    with pytest.raises(InputError, match="quantize/x needs its environment 'apart'") as caught:
        own(tmp_path).interpreter("quantize/x", [])
    assert caught.value.hint == "kistack plugins env create apart"


def test_it_has_what_it_was_given_and_nothing_of_this_one(tmp_path, monkeypatch):
    made = made_environment(tmp_path)
    assert made.version("pydantic") == metadata.version("pydantic")
    assert made.version("pytest") == ""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "stray.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    python = made.interpreter("quantize/x", ["toys"])
    code = (
        "import importlib.util, json, sys; sys.path.append(sys.argv[1]); "
        "print(json.dumps([importlib.util.find_spec(n) is not None for n in sys.argv[2:]]), sys.prefix)"
    )
    asked = ("kistack", "toys", "pydantic", "pytest", "torch", "stray", "tinydesk")
    done = subprocess.run(
        [python.python, "-P", "-c", code, *python.path, *asked],
        env=python.variables(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"[true, true, true, false, false, false, false] {made.folder}"


def test_links_are_made_once_and_lead_to_packages_and_modules(tmp_path):
    place = linked(tmp_path, ["kistack", "toys"])
    assert sorted(p.name for p in place.iterdir()) == ["kistack", "toys.py"]
    assert (place / "kistack").resolve() == Path(environments.__file__).parents[1]
    assert linked(tmp_path, ["toys", "kistack"]) == place
    assert linked(tmp_path, ["kistack"]) != place
    assert not list(tmp_path.glob(".new-*"))
    with pytest.raises(PluginError, match="'no_such_package'"):
        linked(tmp_path, ["no_such_package"])


def test_a_command_runs_the_main_of_a_module_with_its_arguments(tmp_path):
    (tmp_path / "job.py").write_text("def main(arguments):\n    print(arguments)\n    return 3\n")
    for python in (this_interpreter([str(tmp_path)]), Interpreter(sys.executable, (str(tmp_path),), apart=True)):
        done = subprocess.run(python.command("job", "a", "b"), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (3, "['a', 'b']\n")
    (tmp_path / "json.py").write_text("def main(arguments):\n    return 4\n")
    for python, code in ((this_interpreter([str(tmp_path)]), 4), (Interpreter(sys.executable, (str(tmp_path),)), 1)):
        assert subprocess.run(python.command("json"), capture_output=True, check=False).returncode == code


def test_variables_that_lead_elsewhere_stay_here(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("VIRTUAL_ENV", "/y")
    monkeypatch.setenv("KEPT", "1")
    apart, here = Interpreter("python", (), apart=True).variables(), Interpreter("python", ()).variables()
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & apart.keys()
    assert (apart["KEPT"], apart["PYTHONHASHSEED"], apart["PYTHONNOUSERSITE"]) == ("1", "0", "1")
    assert (here["PYTHONPATH"], here["PYTHONHASHSEED"]) == ("/x", "0")
