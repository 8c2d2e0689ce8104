"""What the documentation shows is run as it stands there."""

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path

import pytest
import toys
import typer

import kistack
from kistack.bundle.workspace import Workspace
from kistack.cli.main import app
from kistack.domain.artifacts import FACETS
from kistack.plugins import hookspecs
from kistack.plugins import stages as contract
from kistack.plugins.host import load_host

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "docs" / "plugins.md"
CONFORMANCE = ROOT / "docs" / "conformance.md"
README = ROOT / "README.md"
CLAIMS = ROOT / "docs" / "claims.md"


def blocks(path, language="python"):
    """The code blocks of a Markdown file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def block_with(path, words):
    [found] = [b for b in blocks(path) if words in b]
    return found


@pytest.fixture
def keywords(tmp_path, monkeypatch):
    """The retriever of docs/plugins.md as a module that workers can import too."""
    package = tmp_path / "site" / "kistack_keywords"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "hooks.py").write_text(block_with(PLUGINS, "class Keywords(Stage)"))
    monkeypatch.syspath_prepend(package.parent)
    yield importlib.import_module("kistack_keywords.hooks")
    for name in ("kistack_keywords.hooks", "kistack_keywords"):
        sys.modules.pop(name, None)


def test_the_retriever_of_the_docs_runs_in_a_plan(keywords, toy_project):
    host = load_host(entry_points=False, extra={"toys": toys, "keywords": keywords})
    assert host.problems == ()
    place = Workspace.find(toy_project, host=host)
    plan = kistack.Plan(
        steps=(
            kistack.Step(use="retrieve/keywords", **{"with": {"top_k": 1}}),
            kistack.Step(use="tune/toy"),
            kistack.Step(use="quantize/toy"),
        )
    )
    record = place.run(place.compose(plan))
    assert record.status == "done"
    assert record.systems["plan"].metrics["contained"].value == 1
    assert next(s for s in record.steps if s.use == "retrieve/keywords").plugin == "keywords"
    with kistack.open_bundle(record.bundle, host=host) as bundle:
        answer = bundle.ask("What is the latest release of Product9")
    assert answer.text == "1.9"
    assert [p.document for p in answer.passages] == ["Product9.md"]


def test_the_advice_judges_it_beside_others_and_top_k_does_not_rebuild_its_index(keywords, toy_project):
    host = load_host(entry_points=False, extra={"toys": toys, "keywords": keywords})
    place = Workspace.find(toy_project, host=host)
    judged = [c for c in place.advise().candidates if any(s.use == "retrieve/keywords" for s in c.plan.steps)]
    assert {c.plan.steps[0].with_.get("top_k", 3) for c in judged if len(c.plan.steps) == 1} == {3, 5}
    keys = set()
    for top_k in (3, 5):
        plan = kistack.Plan(steps=(kistack.Step(use="retrieve/keywords", **{"with": {"top_k": top_k}}),))
        keys.add(next(n.key for n in place.compose(plan).steps if n.label == "retrieve/keywords"))
    assert len(keys) == 1


def test_the_test_of_the_docs_passes(keywords, tmp_path):
    names = {"Keywords": keywords.Keywords, "KeywordSettings": keywords.KeywordSettings}
    exec(block_with(PLUGINS, "def test_the_bridge_is_found"), names)
    names["test_the_bridge_is_found"](tmp_path)


def test_the_traits_and_costs_that_the_docs_show_exist(toy_place):
    shown = block_with(PLUGINS, '"model": Port(kind="model", where=')
    traits = eval(shown, {n: getattr(contract, n) for n in ("Traits", "Port", "Out", "Need")})
    assert traits.seeded
    assert all(name == "format" or name in FACETS for p in traits.consumes.values() for name in {**p.where, **p.prefer})
    names = {"profile": toy_place.profile(), "params": 1e6, "trainable": 1e4, "tokens": 1e3}
    exec(block_with(PLUGINS, "here = costs.machine(profile)"), names)
    assert names["seconds"] > 0


def test_every_hook_and_every_field_of_the_contract_is_in_the_docs():
    text = PLUGINS.read_text()
    hooks = {n for n in vars(hookspecs) if n.startswith("kistack_")}
    assert {h for h in hooks if f"`{h}`" not in text} == set()
    assert set(re.findall(r"`(kistack_\w+)`", text)) <= hooks | {"kistack_keywords"}
    for kind in (contract.Port, contract.Out, contract.Traits):
        for field in kind.__dataclass_fields__:
            assert re.search(rf"\b{field}\b", text), f"{kind.__name__}.{field}"
    for method in ("traits", "suggest", "resolve", "estimate", "serving", "inspect", "claims", "run", "open"):
        assert f"`{method}" in text, method


def test_every_check_is_in_the_docs_with_what_it_demands():
    from kistack.testing import CHECKS

    rows = re.findall(r"^\| `([a-z-]+)`(?: \((.*?)\))? \| (.*) \|$", CONFORMANCE.read_text(), re.MULTILINE)
    assert [(n, d, k) for n, k, d in rows] == [(c.name, c.demand, ", ".join(c.kinds)) for c in CHECKS.values()]


def test_the_factors_that_the_docs_state_are_those_that_are_allowed():
    from kistack.testing.checks.honest import FACTORS

    assert FACTORS == {"seconds": 4, "peak_bytes": 2, "bytes": 1.5}
    assert "by a factor (4, 2 and 1.5, beside" in PLUGINS.read_text()


def test_every_fixture_and_every_kind_of_a_new_plugin_is_in_the_docs():
    from kistack.plugins.creating import KINDS
    from kistack.testing import fixtures

    text = PLUGINS.read_text()
    assert all(f"`{name}`" in text for name in (*fixtures.__all__, *KINDS))


def test_the_lines_of_the_readme_run_on_a_project(toy_project, toy_host, monkeypatch):
    monkeypatch.chdir(toy_project)
    monkeypatch.setattr("kistack.bundle.workspace.default_host", lambda: toy_host)
    monkeypatch.setattr("kistack.bundle.opening.load_host", lambda: toy_host)
    code = block_with(README, "kistack.load_scenario")
    said = io.StringIO()
    names = {}
    with contextlib.redirect_stdout(said):
        exec(code, names)
    assert names["record"].status == "done"
    assert names["pipeline"].plan.seed == 1
    assert "Run " in said.getvalue()
    assert "Profile" in said.getvalue()


def test_the_plan_by_hand_of_the_readme_is_a_plan():
    [shown] = re.findall(r"`(kistack\.Plan\(steps=.*?\))`\.", README.read_text(), re.DOTALL)
    plan = eval(shown, {"kistack": kistack})
    assert [s.use for s in plan.steps] == ["retrieve/llamaindex", "tune/lora"]


def test_the_stage_that_the_readme_sketches_registers():
    names = {"__name__": "sketch"}
    exec(block_with(README, "class Keywords(Stage)"), names)

    class Sketch:
        kistack_register_retrievers = staticmethod(names["kistack_register_retrievers"])

    host = load_host(entry_points=False, extra={"sketch": Sketch()})
    assert host.problems == ()
    assert "retrieve/keywords" in host.stages


def test_every_claim_has_a_verdict_and_a_command_that_exists():
    text = CLAIMS.read_text()
    known = typer.main.get_command(app).commands
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert len(sections) == 6
    for section in sections:
        title = section.partition("\n")[0]
        assert re.search(r"^\*\*(Reproduced|Refuted|Not shown)", section, re.MULTILINE), title
        commands = re.findall(r"`(?:python\s+(\S+\.py)|kistack (\w+))", section)
        assert commands, title
        for script, command in commands:
            assert (ROOT / script).is_file() if script else command in known, (title, script or command)
