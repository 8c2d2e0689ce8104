"""A stranger's first minutes: clone, let make install, run."""

import json
import shutil
import subprocess

import pytest

from kistack.demo.models import DEMO_MODELS

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed, so nothing can be cloned"),
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed"),
]

#: Written by the clone's own interpreter, with the helpers of the clone's own tests.
DESK = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
import tinydesk
models = Path("desk-models")
tinydesk.write_tiny_models(models)
tinydesk.write_tiny_project(Path("desk"), models.absolute())
"""

PLAN = """\
schema: 1
steps:
- {use: retrieve/llamaindex, with: {top_k: 2}}
- {use: quantize/gguf, with: {kind: Q8_0, tolerance: 0.5}}
evaluate: [evaluate/answers]
"""


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory):
    """A clone of the last commit, with everything installed as the Makefile says."""
    if not (root / ".git").exists():
        pytest.skip(f"{root} is no git repository")
    folder = tmp_path_factory.mktemp("clone") / "kistack"
    subprocess.run(["git", "clone", "--quiet", "--no-local", f"file://{root}", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def installed(clone, environment_at):
    """The clone's own environment, made by ``make``."""
    place = environment_at(clone / ".venv")
    done = place.run("make", ".venv/.installed", cwd=clone, seconds=1200)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return place


def test_the_clone_holds_nothing_that_was_made(clone):
    names = {p.name for p in clone.iterdir()}
    assert {"Makefile", "README.md", "LICENSE", "constraints.txt", "kistack", "plugins", "policies"} <= names
    assert not names & {".venv", ".kistack", "release-desk", "build", "dist"}


def test_make_installs_every_plugin_and_the_demos_models(installed, clone):
    assert "advise" in installed.kistack("--help").stdout
    document = json.loads(installed.kistack("--strict", "plugins", "list", "--json").stdout)
    assert all(p["state"] == "ok" for p in document["plugins"])
    expected = {p.name for p in (clone / "plugins").glob("kistack-*")} - {"kistack-torch"} | {"kistack"}
    assert {p["distribution"] for p in document["plugins"]} == expected
    done = installed.run("make", "-n", "demo", cwd=clone)
    assert done.stdout.split() == [".venv/bin/kistack", "demo"]
    done = installed.run(installed.python, "-m", "pip", "check")
    # The models' packages are installed for the files they carry, without what their own code would need.
    carried = {package.distribution for package in DEMO_MODELS}
    assert {line.split()[0] for line in done.stdout.splitlines() if "requires" in line} <= carried, done.stdout


def test_the_demos_scenario_is_advised_from_the_clone(installed, tmp_path):
    write = "from pathlib import Path; from kistack.demo.project import write_project; write_project(Path('desk'))"
    assert installed.run(installed.python, "-c", write, cwd=tmp_path).returncode == 0
    document = json.loads(installed.kistack("advise", "--json", cwd=tmp_path / "desk").stdout)
    assert document["best"]["plan"]["steps"]
    assert (
        len({frozenset(s["use"].partition("/")[0] for s in c["plan"]["steps"]) for c in document["candidates"]}) == 16
    )


def test_a_run_from_the_clone_leaves_a_bundle_that_answers(installed, clone):
    done = installed.run(installed.python, "-c", DESK, cwd=clone)
    assert done.returncode == 0, done.stderr
    desk = clone / "desk"
    (desk / "plan.yaml").write_text(PLAN)
    document = json.loads(installed.kistack("-q", "run", "plan.yaml", "--json", cwd=desk).stdout)
    assert document["status"] == "done"
    assert {"baseline", "plan"} <= document["systems"].keys()
    done = installed.kistack("ask", document["bundle"], "Which colour has the bridge of Aar 1?", "--json")
    [answer] = json.loads(done.stdout)["answers"]
    assert len(answer["passages"]) == 2
