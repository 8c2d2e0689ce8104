"""What the pages show exists: commands, flags, Python, plans, keys, links."""

import ast
import contextlib
import importlib
import importlib.util
import re
import shlex

import pytest
import yaml
from kistack_docs.commands import flags, tree
from kistack_docs.files import scenario_keys
from kistack_docs.pages import DOCS, ROOT
from kistack_docs.stages import repository_host
from kistack_docs.text import anchor

from kistack.domain.plan import Plan
from kistack.domain.planfile import load_plan
from kistack.domain.scenario import Scenario
from kistack.plugins import hookspecs

PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", *(ROOT / "plugins").glob("*/README.md")])
#: Options of kistack itself stand before the command.
OWN = {"--quiet", "-q", "--debug", "--strict", "--version", "-h", "--help"}
_FENCE = re.compile(r"^(```+)(\w*)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)


def named(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    return [body for _, language, body in _FENCE.findall(page.read_text()) if language in languages]


def prose(page):
    """A page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def spoken(page):
    """Every line that begins with ``kistack ``, in blocks for a shell and in code spans."""
    lines = [
        line.strip().removeprefix("$ ") for body in blocks(page, "sh", "console", "text") for line in body.splitlines()
    ]
    spans = [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]
    told = [s.removeprefix("- run: ") for body in blocks(page, "yaml") for s in map(str.strip, body.splitlines())]
    return [s for s in (*lines, *spans, *told) if re.match(r"kistack( -|\s+[a-z])", s)]


def words_of(line):
    """The words of a line for a shell, without a comment, a redirection or what comes after it."""
    line = re.split(r"\s#|\s[|>]|\s2>|;|,\s|\s\(", line)[0].replace("…", "X")
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def faults(line):
    """What is wrong with a command that is shown."""
    commands = tree()
    words = words_of(line)[1:]
    while words and words[0] in OWN:
        words = words[1:]
    if not words or words[0] in {"COMMAND", "X"}:  # "kistack --quiet …": any command
        return []
    named_so_far = [" ".join(["kistack", *words[:size]]) for size in (3, 2, 1)]
    name = next((n for n in named_so_far if n in commands), "")
    if not name and any(c.startswith(f"kistack {' '.join(words)} ") for c in commands):
        return []  # a group of commands
    if not name:
        return [f"no command {named_so_far[0]!r} in {line!r}"]
    shown = [w.strip("[]").partition("=")[0] for w in words if w.strip("[]").startswith("-") and w.strip("[]") != "-"]
    return [f"{name} has no {flag}" for flag in shown if flag not in flags(commands[name])]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_flags_that_are_shown_exist(page):
    assert [f for line in spoken(page) for f in faults(line)] == []


def test_a_command_or_flag_that_does_not_exist_is_found():
    assert faults("kistack advise --target x --set a=b -o plan.yaml") == []
    assert faults("kistack --quiet store gc --keep 5   # and no more") == []
    assert faults("kistack wizrad")
    assert faults("kistack store drop")
    assert faults("kistack run plan.yaml --detatch") == ["kistack run has no --detatch"]
    assert sum(len(spoken(page)) for page in PAGES) > 150


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_that_is_shown_compiles_and_its_imports_are_there(page):
    for sample in blocks(page, "python"):
        for node in ast.walk(ast.parse(sample)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name) or is_there(f"{node.module}.{alias.name}"), alias.name
            elif isinstance(node, ast.Import):
                assert all(is_there(alias.name) for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "kistack":
                assert hasattr(importlib.import_module("kistack"), node.attr), node.attr


def is_there(module):
    """Whether a module can be imported, without importing it: samples name torch too."""
    return importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_hooks_and_names_of_modules_that_are_mentioned_exist(page):
    hooks = {n for n in vars(hookspecs) if n.startswith("kistack_")}
    spans = re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))
    for name in re.findall(r"\bkistack_(?:register|judge|before|after|step|run)_\w+", page.read_text()):
        assert name in hooks, name
    for span in spans:
        found = re.match(r"(kistack(?:\.[a-z_]\w*)*)(?:\.([A-Za-z]\w*))?(?:\(|$)", span)
        if found and "." in span and span not in TAGS and not span.endswith((".yaml", ".py", ".json")):
            assert resolves(span.partition("(")[0]), span


def resolves(path):
    """Whether a dotted name is a module, or a name in one."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                found = getattr(found, part, None)
            return found is not None
    return False


def plans_in(page):
    """Every step that a page shows, in whole plans and in ``{use: …}`` on its own."""
    for body in blocks(page, "yaml"):
        document = yaml.safe_load(body)
        if isinstance(document, dict) and "steps" in document:
            yield from [*document["steps"], *(e for e in document.get("evaluate", ()) if isinstance(e, dict))]
        elif isinstance(document, list):
            yield from (entry for entry in document if isinstance(entry, dict) and "use" in entry)
    for span in re.findall(r"`(\{use:[^`]*\})`", prose(page)):
        if "…" not in span:
            yield yaml.safe_load(span)


#: Tags that MLflow's runs get: they read like names in Python, and are none.
TAGS = {"kistack.run", "kistack.status"}
#: Stages that only the documentation's own examples make.
MADE_HERE = {"retrieve/keywords", "retrieve/my-finder"}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_stages_and_settings_that_are_shown_exist(page):
    stages = repository_host().stages
    for step in plans_in(page):
        if step["use"] in MADE_HERE:
            continue
        assert step["use"] in stages, step
        stages[step["use"]].stage.Settings(**step.get("with", {}))


@pytest.mark.parametrize("name", sorted(n for n, e in repository_host().stages.items() if e.plugin != "kistack"))
def test_the_readme_of_a_plugin_tells_every_setting(name):
    entry = repository_host().stages[name]
    text = (ROOT / "plugins" / f"kistack-{entry.plugin}" / "README.md").read_text()
    assert f"`{name}`" in text
    assert [s for s in entry.stage.Settings.model_fields if f"`{s}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_whole_plans_that_are_shown_are_read(page, tmp_path):
    for body in blocks(page, "yaml"):
        document = yaml.safe_load(body)
        if isinstance(document, dict) and "steps" in document and "on" not in document:
            (tmp_path / "plan.yaml").write_text(body)
            assert isinstance(load_plan(tmp_path / "plan.yaml"), Plan)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_keys_of_scenarios_that_are_shown_exist(page):
    top = {info.alias or name for name, info in Scenario.model_fields.items()}
    for body in blocks(page, "yaml"):
        document = yaml.safe_load(body)
        if (
            isinstance(document, dict)
            and document.keys() <= top
            and "steps" not in document
            and "rules" not in document
        ):
            for path in paths(document):
                assert path in scenario_keys() or path.startswith(("models.", "trackers.")), path
    for key in re.findall(r"--set ([a-z_]+\.[a-z_.]+)=", page.read_text()):
        assert key in scenario_keys(), key


def paths(document, before=""):
    """The dotted path of every key of a mapping, lists passed through."""
    for name, value in document.items():
        path = f"{before}{name}"
        yield path
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and path != "knowledge.snapshots":
                yield from paths(inner, f"{path}.")


def anchors(page):
    """The anchors of a page's headings."""
    return {anchor(re.sub(r"[`*]", "", h)) for h in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_and_headings_that_are_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            assert heading in anchors(file), target


def test_every_page_is_reached_from_the_sites_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r": ([\w/-]+\.md)$", menu, re.MULTILINE))
    assert listed == {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}
