"""The pages of hooks and of stages: the repository's own plugins, through the door that every plugin uses."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from kistack.plugins import API_VERSION, hookspecs
from kistack.plugins.host import ENTRY_POINT_GROUP, Host, load_host
from kistack.plugins.stages import Out, Port, Stage, Traits
from kistack_docs.errors import signature
from kistack_docs.text import anchor, code, page, paragraphs, sentence, table
from kistack_docs.types import default, describe, models_in

ROOT = Path(__file__).resolve().parents[3]

STAGES = """\
Every stage of kistack and of the plugins in `plugins/`, with its settings: what `with` of a plan's step takes.
`kistack plugins list` shows what is installed where you are; a plugin from elsewhere tells its settings in its
own README. Ports and outs are those under default settings: a stage may read and write others under others."""

HOOKS = f"""\
The hooks a plugin may implement, version {API_VERSION} of the plugin API. [Writing a plugin](../plugins.md)
tells how; this page has their signatures. A hook may leave out arguments that it does not need."""


@cache
def repository_host() -> Host:
    """A host of the core and of the plugins in this repository, whatever else is installed."""
    return load_host(entry_points=False, disabled=(), extra=dict(_plugins()))


def _plugins() -> Iterator[tuple[str, ModuleType]]:
    for project in sorted((ROOT / "plugins").glob("*/pyproject.toml")):
        points = tomllib.loads(project.read_text(encoding="utf-8"))["project"].get("entry-points", {})
        source = str(project.parent / "src")
        if source not in sys.path:
            sys.path.append(source)
        for name, module in points.get(ENTRY_POINT_GROUP, {}).items():
            yield name, importlib.import_module(module)


def stages_page() -> str:
    """Every stage with its settings, by kind."""
    host = repository_host()
    if host.problems:
        raise LookupError("; ".join(host.problems))
    listed = table(
        ("stage", "plugin", "what it does"),
        [(f"[{code(n)}](#{anchor(n)})", e.plugin, _summary(e.stage)) for n, e in sorted(host.stages.items())],
    )
    blocks = [listed]
    for name, entry in sorted(host.stages.items()):
        blocks += [f"## {name}", *_stage(entry.stage, host.stages[name].plugin)]
    return page("Stages and their settings", STAGES, blocks)


def _summary(stage: Stage) -> str:
    said = stage.summary or sentence(type(stage).__doc__)
    return said[:1].upper() + said[1:].rstrip(".")


def _stage(stage: Stage, plugin: str) -> list[str]:
    said = paragraphs(type(stage).__doc__) or [_summary(stage) + "."]
    facts = [f"Plugin {code(plugin)}, version {code(stage.version)}."]
    if stage.libraries:
        facts.append(f"Keyed by the versions of {', '.join(code(n) for n in stage.libraries)}.")
    traits = _traits(stage)
    blocks = [*said, " ".join([*facts, *_flags(traits)]), _ports(traits), _outs(traits)]
    opened = stage.open_settings
    rows = [
        (code(n) + (" *" if n in opened else ""), describe(i), default(i), i.description or "")
        for n, i in stage.Settings.model_fields.items()
    ]
    blocks += [table(("setting", "type", "default", "what it does"), rows) or "It has no settings."]
    blocks += ["\\* matters only when the result is opened, and is not in its key." if opened else ""]
    for inner in (m for i in stage.Settings.model_fields.values() for m in models_in(i.annotation)):
        rows = [(code(n), describe(i), default(i), i.description or "") for n, i in inner.model_fields.items()]
        blocks += [f"A {code(inner.__name__)}:", table(("key", "type", "default", "what it is"), rows)]
    return blocks


def _traits(stage: Stage) -> Traits | None:
    """Its traits under default settings; None where settings are needed to say."""
    if any(info.is_required() for info in stage.Settings.model_fields.values()):
        return None
    return stage.traits(stage.Settings())


def _flags(traits: Traits | None) -> list[str]:
    if traits is None:
        return []
    said = {
        "auto": "Put in by the composer where it is needed.",
        "opt_in": "Runs only where a plan names it.",
        "seeded": "The plan's seed changes its result.",
        "timed": "Its result holds timings.",
        "network": "It talks to other machines.",
        "processor": "Computes on the processor whatever GPUs there are.",
    }
    found = [text for name, text in said.items() if getattr(traits, name)]
    if traits.environment is not None:
        found.append(f"Runs in an environment of its own: {code(traits.environment.remedy)}.")
    if not traits.deterministic:
        found.append("Its bytes may differ from run to run.")
    orders = {"before": "must come before", "after": "must come after", "excludes": "excludes"}
    for name, text in orders.items():
        if patterns := getattr(traits, name):
            found.append(f"It {text} {', '.join(code(p) for p in patterns)}.")
    if traits.metrics:
        found.append(f"Metrics: {', '.join(code(m) for m in sorted(traits.metrics))}.")
    return found + [
        f"Opens {o.kind} of format {', '.join(code(f) for f in o.format.split('|'))}"
        + (f" to {', '.join(code(g) for g in o.gives)}." if o.gives else ".")
        for o in traits.opens
    ]


def _ports(traits: Traits | None) -> str:
    return table(
        ("reads", "kind", "must be", "wishes"),
        [
            (_port(n, p), p.kind, _wanted(p.where), _wanted(p.prefer))
            for n, p in (traits.consumes if traits else {}).items()
        ],
    )


def _port(name: str, port: Port) -> str:
    marks = [word for word in ("optional", "many", "opened") if getattr(port, word)]
    return code(name) + (f" ({', '.join(marks)})" if marks else "")


def _wanted(where: Any) -> str:
    return ", ".join(f"{n} {' or '.join(code(v) for v in str(value).split('|'))}" for n, value in where.items())


def _outs(traits: Traits | None) -> str:
    rows = [(code(n), o.kind, _form(o), _wanted(o.set)) for n, o in (traits.produces if traits else {}).items()]
    return table(("writes", "kind", "format", "set"), rows)


def _form(out: Out) -> str:
    return code(out.format) if out.format else (f"as {code(out.like)}" if out.like else "")


def hooks_page() -> str:
    """Every hook with its signature."""
    source = inspect.getsource(hookspecs)
    blocks = []
    for heading, part in re.findall(r"^# --- (.+)$\n((?:(?!^# ---).*\n)*)", source, re.MULTILINE):
        blocks.append(f"## {heading[0].upper()}{heading[1:]}")
        for name in re.findall(r"^def (kistack_\w+)", part, re.MULTILINE):
            hook = getattr(hookspecs, name)
            blocks += [f"### {name}", f"```text\n{signature(name, hook)}\n```", *paragraphs(hook.__doc__)]
    return page("Hooks", HOOKS, blocks)
