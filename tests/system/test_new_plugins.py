"""Plugins made by ``kistack plugins new``: built, installed beside kistack's wheel, tested, used, and removed again."""

import json
import textwrap

import pytest

from kistack.plugins.creating import KINDS
from kistack.testing.texts import facts, question, sentence

pytestmark = pytest.mark.system

SCENARIO = """\
schema: 1
name: bridges
task: {{kind: facts, metric: contained}}
knowledge:
  corpus: {{path: documents, licence: CC0-1.0}}
  pairs: pairs.jsonl
  split: {{by: declared}}
  changes: 1%/day
models: {{base: "made-source:{notes}"}}
"""

#: All eight kinds work together here: the source brings the model, the runtime answers, the evaluator scores.
PLAN = """\
steps:
- {use: retrieve/made-retriever, with: {top_k: 1}}
- {use: distill/made-distiller}
- {use: tune/made-tuner}
- {use: quantize/made-quantizer}
"""


def write_project(folder):
    """Documents, pairs, a text to count a model from, a scenario and a plan."""
    (folder / "documents").mkdir(parents=True)
    rows = []
    for number, (place, colour) in enumerate(facts()):
        name = f"{place.replace(' ', '-')}.md"
        (folder / "documents" / name).write_text(sentence(place, colour) + "\n")
        split = "test" if number % 4 == 3 else "train"
        rows.append({"id": f"q{number}", "question": question(place), "answer": colour, "gold": [name], "group": place})
        rows[-1]["split"] = split
    (folder / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "notes.txt").write_text("".join(sentence(*fact) + "\n" for fact in facts()))
    (folder / "kistack.yaml").write_text(SCENARIO.format(notes=folder / "notes.txt"))
    (folder / "plan.yaml").write_text(PLAN)
    return folder


@pytest.fixture(scope="module")
def wheel(root, new_environment, tmp_path_factory):
    """Build a package's wheel; kistack's own is ``wheel(root)``."""
    builder = new_environment("builder")
    builder.pip("install", "-c", root / "constraints.txt", "hatchling")

    def build(package):
        out = tmp_path_factory.mktemp("wheels")
        builder.pip("wheel", "--no-deps", "--no-build-isolation", "-w", out, package)
        [made] = out.glob("*.whl")
        return made

    return build


@pytest.fixture(scope="module")
def clean(root, new_environment, wheel):
    """An environment with kistack's wheel and pytest."""
    made = new_environment("clean")
    made.pip("install", "-c", root / "constraints.txt", wheel(root), "pytest")
    return made


def plugins_of(environment):
    return {p["name"]: p for p in json.loads(environment.kistack("plugins", "--json").stdout)["plugins"]}


@pytest.fixture(scope="module")
def made(clean, wheel, tmp_path_factory):
    """A package of every kind, made by the command, its wheel installed."""
    folder = tmp_path_factory.mktemp("made")
    for kind in KINDS:
        clean.kistack("plugins", "new", f"made-{kind}", "--kind", kind, "--into", folder)
    assert set(plugins_of(clean)) == {"kistack"}
    wheels = [wheel(folder / f"kistack-made-{kind}") for kind in KINDS]
    clean.pip("install", "--no-deps", *wheels)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_listed_and_passes_its_own_tests(clean, made, kind):
    state = plugins_of(clean)[f"made-{kind}"]
    assert (state["state"], state["errors"]) == ("ok", [])
    assert state["stages"] == [f"{KINDS[kind].prefix}/made-{kind}"]
    # From the tests' own folder: the package that is tested is the installed wheel.
    tests = made / f"kistack-made-{kind}" / "tests"
    done = clean.run(clean.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", ".", cwd=tests)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    code = f"import kistack_made_{kind}; print(kistack_made_{kind}.__file__)"
    assert str(clean.folder) in clean.run(clean.python, "-c", code).stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("bridges") / "project")


def test_all_kinds_run_in_one_plan(clean, made, project):
    document = clean.kistack("--quiet", "run", "plan.yaml", "--json", cwd=project).stdout
    assert json.loads(document)
    for kind in set(KINDS) - {"runtime", "profiler"}:
        assert f"{KINDS[kind].prefix}/made-{kind}" in document, kind
    assert '"made_evaluator"' in document
    assert "disk_write" in clean.kistack("profile", "--json", cwd=project).stdout
    [bundle] = (project / ".kistack" / "runs").glob("*/bundle")
    assert clean.kistack("ask", bundle, question("Aar 4"), cwd=project).stdout.strip()


# --- plugins that spoil things

BREAKING = {
    "raising": "raise RuntimeError('broken on purpose')\n",
    "ending": "import sys\nsys.exit(7)\n",
    "misspelt": """
        from kistack.plugins.hookspecs import hookimpl

        @hookimpl
        def kistack_register_retriever():
            return []
        """,
    "slow": "import time\ntime.sleep(2)\n",
    "printing": "print('hello from a plugin')\n",
    "newer": "KISTACK_API = '2.0'\n",
    "wrong": """
        from kistack.plugins.hookspecs import hookimpl

        @hookimpl
        def kistack_register_retrievers():
            return [dict]
        """,
    "forking": """
        import os

        if os.fork() == 0:
            os._exit(0)
        """,
    "rival": """
        from kistack.plugins.builtins import PairsPassages
        from kistack.plugins.hookspecs import hookimpl

        class Rival(PairsPassages):
            name = "merge/shared"

        @hookimpl
        def kistack_register_stages():
            return [Rival, Rival]
        """,
    "lying": """
        from kistack.domain.records import Estimate
        from kistack.plugins.hookspecs import hookimpl
        from kistack.plugins.stages import Out, Port, Stage, Traits

        class Lying(Stage):
            name = "retrieve/lying"

            def traits(self, settings):
                print("asked")
                index = Out(kind="index", format="x", serve=True)
                return Traits(consumes={"corpus": Port(kind="corpus")}, produces={"index": index})

            def estimate(self, settings, profile, inputs):
                return Estimate({"seconds": float("nan")}, {"index": {"bytes": float("nan")}})

        @hookimpl
        def kistack_register_retrievers():
            return [Lying]
        """,
}


def install_by_hand(site, name, code):
    """A plugin of one module in a folder that is searched for installed packages."""
    (site / f"spoiling_{name}.py").write_text(textwrap.dedent(code))
    info = site / f"spoiling_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: spoiling-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kistack]\n{name} = spoiling_{name}\n")


@pytest.fixture
def also(clean, environment_at, tmp_path):
    """The clean environment with further plugins, by name and code."""

    def add(plugins):
        site = tmp_path / "site"
        site.mkdir()
        for name, code in plugins.items():
            install_by_hand(site, name, code)
        other = environment_at(clean.folder)
        other.env["PYTHONPATH"] = str(site)
        return other

    return add


def test_spoiling_plugins_stop_neither_help_nor_advice_nor_another_plugins_run(also, made, project, tmp_path):
    spoilt = also(BREAKING)
    assert "advise" in spoilt.kistack("--help").stdout
    states = plugins_of(spoilt)
    for name in ("raising", "ending", "misspelt", "newer", "wrong"):
        assert states[name]["state"] == "failed", name
        assert states[name]["errors"], name
    assert "did you mean 'kistack_register_retrievers'" in states["misspelt"]["errors"][0]
    assert "SystemExit" in states["ending"]["errors"][0]
    document = json.loads(spoilt.kistack("advise", "--json", cwd=project).stdout)
    judged = {s["use"] for c in document["candidates"] for s in c["plan"]["steps"]}
    assert "retrieve/made-retriever" in judged
    again = write_project(tmp_path / "again")
    assert '"made_evaluator"' in spoilt.kistack("--quiet", "run", "plan.yaml", "--json", cwd=again).stdout


def test_uninstalled_they_leave_kistack_as_it_was(clean, made, project):
    for kind in KINDS:
        clean.pip("uninstall", "--yes", f"kistack-made-{kind}")
    assert set(plugins_of(clean)) == {"kistack"}
    assert "no source knows the model" in clean.kistack("check", "plan.yaml", cwd=project, code=2).stderr
    assert "advise" in clean.kistack("--help").stdout


# --- many plugins

_DUMMY = """
    from kistack.plugins.hookspecs import hookimpl
    from kistack.plugins.stages import Stage, Traits

    class Dummy(Stage):
        name = "prune/dummy-{number}"
        summary = "nothing"

        def traits(self, settings):
            return Traits()

    @hookimpl
    def kistack_register_stages():
        return [Dummy]
    """

_TIMED = """
import resource, subprocess, sys
subprocess.run([sys.argv[1], "--help"], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""


@pytest.mark.speed
def test_forty_plugins_do_not_slow_the_help_down(clean, also):
    crowded = also({f"dummy_{number}": _DUMMY.format(number=number) for number in range(40)})
    assert len(plugins_of(crowded)) >= 41
    quickest = {}
    # By turns, and the quickest of each: other work on the machine only adds.
    for _ in range(7):
        for name, one in (("crowded", crowded), ("empty", clean)):
            done = one.run(one.python, "-c", _TIMED, one.folder / "bin" / "kistack")
            quickest[name] = min(quickest.get(name, 99.0), float(done.stdout))
    assert quickest["crowded"] <= 1.3 * quickest["empty"], quickest
