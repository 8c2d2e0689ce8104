"""What is shipped: the files of every wheel, and kistack's alone in an environment made for it."""

import ast
import json
import tomllib
import zipfile
from email.parser import Parser

import pytest

pytestmark = pytest.mark.system

SCENARIO = """\
schema: 1
name: shipped
knowledge: {corpus: desk/documents, pairs: desk/pairs.jsonl, split: {by: declared}, changes: 1%/day}
models: {base: llama, embedder: encoder}
"""


def plugins(root):
    return sorted((root / "plugins").glob("kistack-*"))


@pytest.fixture(scope="module")
def wheels(root, new_environment, tmp_path_factory):
    """Wheels by distribution, built from this checkout in one call."""
    builder = new_environment("builder")
    builder.pip("install", "-c", root / "constraints.txt", "hatchling")
    out = tmp_path_factory.mktemp("wheels")
    builder.pip("wheel", "--no-deps", "--no-build-isolation", "-w", out, root, *plugins(root))
    found = {file.name.partition("-")[0].replace("_", "-"): file for file in out.glob("*.whl")}
    assert found.keys() == {"kistack", *(p.name for p in plugins(root))}
    return found


def names_in(wheel):
    """Files of a wheel: those of the package, and those of its ``.dist-info`` without that name."""
    names = [n for n in zipfile.ZipFile(wheel).namelist() if not n.endswith("/")]
    package = {n for n in names if ".dist-info/" not in n}
    return package, {n.partition(".dist-info/")[2] for n in names if n not in package}


def files_under(folder):
    return {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}


def metadata_of(wheel):
    archive = zipfile.ZipFile(wheel)
    [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    return Parser().parsestr(archive.read(name).decode())


def test_kistacks_wheel_holds_the_package_its_tables_and_its_policies_and_nothing_else(root, wheels):
    package, info = names_in(wheels["kistack"])
    expected = {f"kistack/{name}" for name in files_under(root / "kistack")}
    expected |= {f"kistack/_policies/{file.name}" for file in (root / "policies").glob("*.yaml")}
    assert package == expected
    assert {
        "kistack/py.typed",
        "kistack/_policies/default.yaml",
        "kistack/data/effects.yaml",
        "kistack/demo/releases.csv",
        "kistack/demo/LICENSE",
        "kistack/testing/context.py",
    } <= package
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    points = zipfile.ZipFile(wheels["kistack"]).read("kistack-0.1.0.dist-info/entry_points.txt").decode()
    assert "kistack = kistack.cli.main:main" in points
    assert metadata_of(wheels["kistack"])["License-Expression"] == "Apache-2.0"


def test_every_plugins_wheel_holds_its_package_and_its_entry_point(root, wheels):
    for plugin in plugins(root):
        module = plugin.name.replace("-", "_")
        package, info = names_in(wheels[plugin.name])
        assert package == {f"{module}/{name}" for name in files_under(plugin / "src" / module)}, plugin.name
        assert f"{module}/py.typed" in package
        assert "licenses/LICENSE" in info, plugin.name
        [text] = [n for n in zipfile.ZipFile(wheels[plugin.name]).namelist() if n.endswith("licenses/LICENSE")]
        assert b"Apache License" in zipfile.ZipFile(wheels[plugin.name]).read(text)
        about = metadata_of(wheels[plugin.name])
        assert about["License-Expression"] == "Apache-2.0"
        assert about["Description-Content-Type"] == "text/markdown"
        declared = tomllib.loads((plugin / "pyproject.toml").read_text())["project"].get("entry-points", {})
        assert ("entry_points.txt" in info) == bool(declared), plugin.name
        if plugin.name != "kistack-torch":
            [target] = declared["kistack"].values()
            assert target.replace(".", "/") + ".py" in package


def test_no_plugin_depends_on_another_but_kistack_torch(root, wheels):
    ours = set(wheels)
    for plugin in plugins(root):
        named = {r.partition(">")[0].partition("[")[0].strip() for r in metadata_of(wheels[plugin.name]).get_all(
            "Requires-Dist", []
        )}  # fmt: skip
        assert "kistack" in named
        assert named & ours <= {"kistack", "kistack-torch"}, plugin.name


def test_no_file_of_the_core_imports_a_library_of_machine_learning(wheels):
    heavy = {"torch", "transformers", "peft", "llama_index", "haystack", "lancedb", "gguf", "xllamacpp", "safetensors"}
    archive = zipfile.ZipFile(wheels["kistack"])
    for name in archive.namelist():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(archive.read(name))):
            imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {i.partition(".")[0] for i in imported} & heavy, name


# --- kistack alone


@pytest.fixture(scope="module")
def alone(root, wheels, new_environment):
    """An environment with nothing but kistack's wheel and what it depends on."""
    clean = new_environment("alone")
    clean.pip("install", "-c", root / "constraints.txt", wheels["kistack"])
    return clean


def test_it_installs_without_machine_learning_and_imports_from_the_wheel(alone):
    done = alone.run(alone.python, "-m", "pip", "list", "--format", "json")
    installed = {row["name"].lower() for row in json.loads(done.stdout)}
    assert "kistack" in installed
    assert not installed & {"torch", "transformers", "peft", "llama-index-core", "lancedb", "gguf"}
    done = alone.run(alone.python, "-c", "import kistack; print(kistack.__file__)")
    assert str(alone.folder) in done.stdout


def test_its_commands_start(alone, tmp_path):
    assert "advise" in alone.kistack("--help").stdout
    assert alone.kistack("--version").stdout.startswith("kistack 0.")
    document = json.loads(alone.kistack("plugins", "list", "--json").stdout)
    assert [(p["name"], p["state"]) for p in document["plugins"]] == [("kistack", "ok")]
    alone.kistack("init", cwd=tmp_path)
    assert (tmp_path / "kistack.yaml").read_text().count("#") > 5
    done = alone.kistack("init", cwd=tmp_path, code=2)
    assert "exists already" in done.stderr
    alone.kistack("profile", "--export", "machine.json", cwd=tmp_path)
    assert json.loads((tmp_path / "machine.json").read_text())


POLICIES = """
from kistack.advisor.policies import load_policies, policies_folder, policy_paths
print(policies_folder())
print(len(load_policies(policy_paths(["default"]))))
"""


def test_policies_and_tables_come_from_the_wheel(alone):
    done = alone.run(alone.python, "-c", POLICIES)
    assert done.returncode == 0, done.stderr
    folder, rules = done.stdout.split()
    assert folder.startswith(str(alone.folder))
    assert folder.endswith("kistack/_policies")
    assert int(rules) >= 10


DESK = """
from pathlib import Path
from kistack.demo.project import write_project
write_project(Path("desk"), train=40, test=8)
"""


@pytest.fixture(scope="module")
def project(alone, tmp_path_factory):
    """The demo's documents and pairs, written by the wheel, with a tiny model in a folder."""
    import tinydesk

    folder = tmp_path_factory.mktemp("project")
    done = alone.run(alone.python, "-c", DESK, cwd=folder)
    assert done.returncode == 0, done.stderr
    tinydesk.write_tiny_models(folder)
    (folder / "kistack.yaml").write_text(SCENARIO)
    (folder / "plan.yaml").write_text("steps: [{use: retrieve/llamaindex}, {use: tune/lora}]\n")
    return folder


def test_without_a_source_the_model_is_the_one_problem(alone, project):
    done = alone.kistack("check", "plan.yaml", cwd=project, code=2)
    assert "no source knows the model" in done.stderr
    assert "sources installed: none" in done.stderr


def test_a_plan_with_stages_that_are_not_installed_names_them_and_what_is(alone, project, wheels):
    alone.pip("install", "--no-deps", wheels["kistack-transformers"], wheels["kistack-torch"])
    done = alone.kistack("check", "plan.yaml", cwd=project, code=2)
    assert "step 1 (retrieve/llamaindex): no installed plugin has a stage 'retrieve/llamaindex'" in done.stderr
    assert "step 2 (tune/lora): no installed plugin has a stage 'tune/lora'" in done.stderr
    assert "installed: " in done.stderr
    assert "runtime/transformers" in done.stderr


def test_advice_needs_no_torch_and_judges_what_is_installed(alone, project, wheels):
    alone.pip("install", "--no-deps", *(wheels[f"kistack-{name}"] for name in ("llamaindex", "peft", "gguf")))
    document = json.loads(alone.kistack("advise", "--json", cwd=project).stdout)
    judged = {tuple(s["use"] for s in c["plan"]["steps"]) for c in document["candidates"]}
    assert () in judged
    assert all("distill/" not in use for uses in judged for use in uses)
    reasons = [r for c in document["candidates"] for r in c["reasons"]]
    assert any(r["sources"] for r in reasons)
    done = alone.kistack("check", "plan.yaml", cwd=project, code=2)
    assert "torch" in done.stderr
