"""The pages of what a user writes: scenario, plan, policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, RootModel

from kistack.advisor import policies
from kistack.advisor.vocabulary import VOCABULARY, Known
from kistack.domain.plan import Plan, Step
from kistack.domain.scenario import SCENARIO_FILE, Changes, Models, Scenario
from kistack.domain.scenario_template import render_template
from kistack.plugins.stages import TECHNIQUES
from kistack_docs.text import code, page, paragraphs, table
from kistack_docs.types import default, describe, models_in

SCENARIO = f"""\
The keys of `{SCENARIO_FILE}`, from the model that reads it. Only `name` and `models.base` are needed; what is
left out is measured or assumed, and each fact of the profile says which. Sizes (`2GiB`), durations (`300ms`,
`90d`), rates (`2%/day`), shares (`70%`) and money (`$3`) are written with their unit. Paths are relative to the
file. Unknown keys are refused with the line they stand in and the nearest known name. Its JSON schema:
[scenario.json](schemas/scenario.json)."""

PLAN = """\
The keys of a plan file, from the model that reads it. A plan is a straight-line program over named slots, which
start as the scenario's; [plugins](../plugins.md#stages) tells what ports and slots are, and [stages](stages.md)
the settings that `with` takes. Its JSON schema: [plan.json](schemas/plan.json)."""

POLICIES = """\
The keys of a policy file, and the facts that its conditions may read. A scenario names policies under
`policies`; files of your own are checked with `kistack policies check FILE`. Its JSON schema:
[policy.json](schemas/policy.json)."""

#: Text of a plan's keys, which the models tell in their docstrings.
_STEP_KEYS = {
    "use": "the stage, kind/name",
    "with": "its settings; what is left out has the stage's default, and auto is decided before it runs",
    "from": "ports that read another slot than that of their own name: {port: slot}",
    "as": "another slot for the main output than that of its own name",
    "select": "parts of the corpus (!name: all but that one): only their documents are read, and only pairs about them",
}
_PLAN_KEYS = {
    "schema": "the version of this file's form",
    "seed": "enters every stage that draws random numbers",
    "base": "replaces the scenario's base model",
    "steps": "the steps, in order",
    "deliver": "the slots that make up the bundle",
    "evaluate": "the evaluators to run, by name or with settings; empty, or defaults among others: all that fit",
}
_EXAMPLE = """\
schema: 1
seed: 7
steps:
- {use: tune/lora, from: {model: teacher}, as: teacher}   # the teacher learns from the pairs first
- {use: retrieve/llamaindex, with: {top_k: 3}, select: ["!manual"]}
- {use: distill/response, with: {alpha: 0.2}}
- {use: quantize/gguf, with: {kind: Q8_0}}
evaluate: [defaults, {use: evaluate/format, with: {pattern: '[0-9.]+'}}]"""


def scenario_page() -> str:
    """Every key of a scenario."""
    blocks = ["## The top level", _keys(Scenario)]
    for path, model in _parts(Scenario, ""):
        if model is not Changes:
            blocks += [f"## {path}", *_said(model), _keys(model)]
    blocks += ["## A whole one", "What `kistack init` writes:", f"```yaml\n{render_template().rstrip()}\n```"]
    return page("The scenario file", SCENARIO, blocks)


def scenario_keys() -> set[str]:
    """Every key as it stands in a file, with its path: ``limits.memory``."""
    found = {name for name, _ in _fields(Scenario)}
    for path, model in _parts(Scenario, ""):
        for place in path.split(" and "):
            found |= {f"{place.removesuffix('[]')}.{name}" for name, _ in _fields(model)}
    return found


def _parts(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every model below one with the path of its keys; a model that stands twice is told once, under both."""
    places: dict[type[BaseModel], list[str]] = {}
    for name, info in _fields(model):
        for inner in models_in(info.annotation):
            many = "[]" if "tuple" in str(info.annotation) else ""
            places.setdefault(inner, []).append(f"{path}{name}{many}")
    for inner, where in places.items():
        yield " and ".join(where), inner
        if inner is not Changes:
            yield from _parts(inner, f"{where[0].removesuffix('[]')}.")


def _fields(model: type[BaseModel]) -> list[tuple[str, Any]]:
    return [(info.alias or name, info) for name, info in model.model_fields.items() if not info.exclude]


def _said(model: type[BaseModel]) -> list[str]:
    """A model's docstring, where it has one of its own."""
    return [] if model.__doc__ in {None, BaseModel.__doc__, RootModel.__doc__} else paragraphs(model.__doc__)


def _keys(model: type[BaseModel]) -> str:
    rows = [
        (code(name), _type(info), default(info), (info.description or "").removesuffix("."))
        for name, info in _fields(model)
    ]
    if model is Models:
        rows.append(("any other name", "text", "", "a model in a slot of that name, for stages that read one"))
    return table(("key", "type", "default", "what it says"), rows)


def _type(info: Any) -> str:
    inner = models_in(info.annotation)
    if not inner or inner[0] is Changes:
        return "`measured`, `none`, rate or duration" if inner else describe(info)
    return "list, see below" if "tuple" in str(info.annotation) else "mapping, see below"


def plan_page() -> str:
    """Every key of a plan and of a step."""
    blocks = ["## The top level", _told(Plan, _PLAN_KEYS)]
    blocks += ["## steps[]", _told(Step, _STEP_KEYS)]
    blocks += ["## An example", f"```yaml\n{_EXAMPLE}\n```", "`kistack check plan.yaml` says what it would run."]
    return page("The plan file", PLAN, blocks)


def example_plan() -> str:
    """The plan that the page shows."""
    return _EXAMPLE


def _told(model: type[BaseModel], said: dict[str, str]) -> str:
    names = {name for name, _ in _fields(model)}
    if names != set(said):
        raise LookupError(f"{model.__name__} has the keys {sorted(names)}, and docs/tools tells of {sorted(said)}")
    types = {"steps": "list, see below", "evaluate": "list of: text or a step"}
    rows = [(code(name), types.get(name) or describe(info), default(info), said[name]) for name, info in _fields(model)]
    return table(("key", "type", "default", "what it says"), rows)


def policies_page() -> str:
    """The keys of policy files and rules, and every fact that a condition may read."""
    grammar = paragraphs(policies.__doc__)
    policy, rule = policies._PolicyText, policies._RuleText  # noqa: SLF001 - the models that read the files
    blocks = ["## The file", _keys(policy), "## rules[]", _keys(rule), grammar[-1], "## Shipped policies", _shipped()]
    opening = (
        "Conditions are CEL over these sections, written `section.fact`; ask "
        "`has(section.fact)` first where a fact is not "
        f"always there. Techniques are {', '.join(code(t) for t in TECHNIQUES)}."
    )
    blocks += ["## Facts", opening]
    sections: dict[str, list[tuple[str, Known]]] = {}
    for (section, name), known in VOCABULARY.items():
        sections.setdefault(section, []).append((name, known))
    for section, facts in sections.items():
        rows = [(code(f"{section}.{name}"), _kind(known), "always" if known.always else "") for name, known in facts]
        blocks += [f"### {section}", table(("fact", "what it can be", "there"), rows)]
    return page("Policy files", POLICIES, blocks)


def _shipped() -> str:
    found = policies.read_policies(policies.policy_paths(policies.shipped_policies()))
    rows = [(code(p.name), str(len(p.rules)), p.summary) for p in found]
    return table(("name", "rules", "for"), rows)


def _kind(known: Known) -> str:
    if known.values:
        return ", ".join(code(v) for v in known.values)
    if known.kind in {"count", "number"}:
        named = "whole number" if known.kind == "count" else "number"
        low = f" ≥ {known.low:g}" if known.low else ""
        return f"{named}{low}" + (f" ≤ {known.high:g}" if known.high < float("inf") else "")
    return {"flag": "true or false", "text": "text", "names": "list of names", "settings": "mapping"}[known.kind]
