"""The page of the classes that a plugin imports: stages, what they declare, what they are given, what they return."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Sequence
from typing import Any

from kistack.domain import artifacts, facts, prompt, records
from kistack.plugins import API_VERSION, environments, sessions, stages
from kistack_docs.errors import returned, signature
from kistack_docs.text import anchor, code, page, paragraphs, raises, table

API = f"""\
What a plugin imports, version {API_VERSION} of the plugin API. [Writing a plugin](../plugins.md) tells how it goes
together; [Hooks](hooks.md) has the functions that hand classes over."""

#: Headings with what stands under them, in the order in which a reader meets it.
CONTENTS: Sequence[tuple[str, Sequence[type]]] = (
    ("A stage", (stages.Stage, stages.Settings, stages.Context)),
    ("What it declares", (stages.Traits, stages.Port, stages.Out, stages.Need, stages.Opens, environments.Environment)),
    ("What it is told", (facts.Profile, facts.Fact, artifacts.Type, artifacts.Artifact, artifacts.Opener, stages.Load)),
    ("What it states", (records.Estimate, records.Effect)),
    ("What it opens", (
        sessions.ModelSession, sessions.IndexSession, sessions.Completion, sessions.LogLikelihood, prompt.Passage,
    )),
)  # fmt: skip
#: What plugins make but never call.
_NOT_CALLED = (stages.Opens, environments.Environment)


def api_page() -> str:
    """Every class of the plugin API with its fields and methods."""
    blocks = []
    for heading, classes in CONTENTS:
        blocks += [f"## {heading}"]
        for found in classes:
            blocks += [f"### {found.__name__}", f"`from {found.__module__} import {found.__name__}`", *_class(found)]
    blocks += [
        "## Names",
        f"Facets of artifacts ({code('kistack.domain.artifacts.FACETS')}):",
        table(("facet", "what it is"), [(code(n), text) for n, text in artifacts.FACETS.items()]),
        f"Costs that an estimate may state ({code('kistack.domain.records.COST_UNITS')}):",
        table(("cost", "unit"), [(code(n), unit) for n, unit in records.COST_UNITS.items()]),
    ]
    return page("Classes of the plugin API", API, blocks)


def _class(found: type) -> list[str]:
    blocks = _linked(paragraphs(found.__doc__), found)
    blocks += ["\n".join(f"- Raises {code(error)}: {when}" for error, when in raises(found.__doc__))]
    blocks += [table(("field", "type", "default"), _fields(found))]
    for name, member in () if found in _NOT_CALLED else _members(found):
        is_value = isinstance(member, property) and member.fget is not None
        told = f"{name}: {returned(member.fget)}" if is_value else signature(name, member)
        blocks += [f"```text\n{told}\n```", *paragraphs(member.__doc__)]
    return blocks


def _linked(texts: Sequence[str], found: type) -> list[str]:
    """Paragraphs in which the names of the other classes of this page lead to them."""
    others = [c.__name__ for _, classes in CONTENTS for c in classes if c is not found]
    named = "|".join(others)
    return [re.sub(rf"`({named})`", lambda m: f"[`{m[1]}`](#{anchor(m[1])})", text) for text in texts]


def _fields(found: type) -> list[tuple[str, str, str]]:
    """Fields of a dataclass, or annotated attributes of another class: name, type, default."""
    if dataclasses.is_dataclass(found):
        return [
            (code(f.name), code(f.type), _default(f)) for f in dataclasses.fields(found) if not f.name.startswith("_")
        ]
    annotated = vars(found).get("__annotations__", {})
    return [
        (code(name), code(re.sub(r"^ClassVar\[(.*)\]$", r"\1", str(kind))), _value(vars(found).get(name)))
        for name, kind in annotated.items()
        if not name.startswith(("_", "model_"))
    ]


def _default(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return code(repr(field.default))
    if field.default_factory is not dataclasses.MISSING:
        return code(repr(field.default_factory()))
    return ""


def _value(value: object) -> str:
    if value is None or isinstance(value, type):
        return "" if value is None else code(value.__name__)
    return code(repr(value)) if not inspect.ismemberdescriptor(value) else ""


def _members(found: type) -> list[tuple[str, Any]]:
    """Public methods and properties of the class itself; those of storage (to and from JSON) are not for plugins."""
    return [
        (name, value)
        for name, value in vars(found).items()
        if (inspect.isfunction(value) or isinstance(value, property))
        and not name.startswith("_")
        and not name.endswith("_json")
    ]
