"""New plugins from templates: complete, loadable as they are, and refused where they would harm."""

import ast
import importlib
import re
import sys
import tomllib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kistack.cli import main
from kistack.errors import InputError
from kistack.plugins.creating import KINDS, TEMPLATES, create_plugin
from kistack.plugins.host import load_host


@pytest.fixture
def import_from(monkeypatch):
    """Import the hooks of a made package."""

    def load(root):
        monkeypatch.syspath_prepend(root / "src")
        [package] = (root / "src").iterdir()
        return importlib.import_module(f"{package.name}.hooks")

    before = set(sys.modules)
    yield load
    for name in set(sys.modules) - before:
        if name.startswith("kistack_made"):
            del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_complete_and_loads(kind, tmp_path, import_from):
    files = create_plugin("made-here", kind, tmp_path)
    root = tmp_path / "kistack-made-here"
    names = {f.relative_to(root).as_posix() for f in files}
    assert {
        "README.md",
        "pyproject.toml",
        ".github/workflows/test.yml",
        "tests/test_conformance.py",
        "src/kistack_made_here/__init__.py",
        "src/kistack_made_here/hooks.py",
        "src/kistack_made_here/settings.py",
        "src/kistack_made_here/stage.py",
        "src/kistack_made_here/py.typed",
    } <= names
    for file in files:
        text = file.read_text()
        assert not re.search(r"@\w+@", text), file
        if file.suffix == ".py":
            ast.parse(text)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["kistack"] == {"made-here": "kistack_made_here.hooks"}
    assert yaml.safe_load((root / ".github/workflows/test.yml").read_text())["jobs"]
    host = load_host(entry_points=False, extra={"made-here": import_from(root)})
    assert host.problems == ()
    assert [n for n, e in host.stages.items() if e.plugin == "made-here"] == [f"{KINDS[kind].prefix}/made-here"]


def test_its_conformance_test_has_three_lines_of_code(tmp_path):
    create_plugin("made", "retriever", tmp_path)
    code = (tmp_path / "kistack-made" / "tests" / "test_conformance.py").read_text()
    imports = [line for line in code.splitlines() if line.startswith("from ")]
    assert len([line for line in code.splitlines() if line.strip()]) - len(imports) == 2
    assert "from kistack.testing import check_stage" in imports


@pytest.mark.parametrize(
    "name", ["", "Finder", "my finder", "my_finder", "9lives", "a--b", "-a", "a-", "a/b", "..", "x" * 41]
)
def test_bad_names_are_refused_and_nothing_is_written(name, tmp_path):
    with pytest.raises(InputError) as refused:
        create_plugin(name, "retriever", tmp_path)
    assert refused.value.hint
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_any_name_is_made_or_refused(name):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        from pathlib import Path

        try:
            made = create_plugin(name, "evaluator", Path(folder))
        except InputError as refused:
            assert "\n" not in refused.hint
        else:
            assert all(Path(folder) in file.parents for file in made)


def test_an_existing_folder_a_taken_name_and_an_unknown_kind_are_refused(tmp_path):
    (tmp_path / "kistack-made").mkdir()
    with pytest.raises(InputError, match="exists already"):
        create_plugin("made", "retriever", tmp_path)
    with pytest.raises(InputError, match="a stage tune/lora is installed already"):
        create_plugin("lora", "tuner", tmp_path, taken={"tune/lora"})
    with pytest.raises(InputError, match="no kind of plugin 'pruner'") as refused:
        create_plugin("made", "pruner", tmp_path)
    assert "retriever, distiller" in refused.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["kistack-made"]


def test_a_prefix_is_not_doubled(tmp_path):
    create_plugin("kistack-made", "source", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kistack-made"]


def test_the_command_writes_it_and_says_what_is_next(tmp_path, capsys):
    assert main.run(["plugins", "new", "made", "--kind", "quantizer", "--into", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert str(tmp_path / "kistack-made" / "pyproject.toml") in said.out.split()
    assert "pip install -e" in said.err
    assert main.run(["plugins", "new", "made", "--kind", "quantizer", "--into", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_there_are_templates_for_every_kind():
    folders = {p.name for p in TEMPLATES.iterdir()}
    assert folders == {*KINDS, "common", "bigrams"}
    assert all(p.suffix == ".tmpl" for p in TEMPLATES.rglob("*") if p.is_file())
