"""The page of documents that kistack writes and reads, and their JSON schemas."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from kistack.execution import events
from kistack_docs.text import code, page, sentence, table
from kistack_docs.types import words

OPENING = """\
Every document that kistack writes or reads as JSON or YAML has a key `schema`, the version of its form: it
grows when a reader of the old form would misread the new one. New keys may come without that, so read past
names you do not know. Where one type of the code is the document, its JSON schema lies in `schemas/`; the other
documents are told by their keys."""


@dataclass(frozen=True)
class Typed:
    """A document that one type describes: its file under ``schemas/``, that type, the version's constant there."""

    name: str
    where: str
    type: str
    version: str


@dataclass(frozen=True)
class Keyed:
    """A document that one function builds: what writes it, the function, the constant of its version."""

    name: str
    where: str
    function: str


TYPED = (
    Typed("scenario", "`kistack.yaml`", "domain.scenario:Scenario", "SCENARIO_SCHEMA"),
    Typed("plan", "plan files", "domain.plan:Plan", "PLAN_SCHEMA"),
    Typed("policy", "policy files", "advisor.policies:_PolicyText", ""),
    Typed("profile", "`kistack profile --json`", "domain.facts:Profile", ""),
    Typed("record", "`.kistack/runs/ID/record.json`", "domain.records:RunRecord", "RUN_SCHEMA"),
    Typed("manifest", "`manifest.json` of a bundle", "bundle.manifest:Manifest", "MANIFEST_SCHEMA"),
    Typed("probe", "`probe` of `kistack advise --probe --json`", "evaluation.probes:Probe", "PROBE_SCHEMA"),
    Typed("difference", "`kistack diff --json`", "bundle.differences:RunDifference", "DIFFERENCE_SCHEMA"),
    Typed("reproduction", "`kistack reproduce --json`", "bundle.reproducing:Reproduction", "REPRODUCTION_SCHEMA"),
    Typed("staleness", "`kistack staleness --json`", "sweeping.staleness:Staleness", "STALENESS_SCHEMA"),
    Typed("sweep-row", "`.kistack/sweeps/ID/rows/NN.json`", "sweeping.rows:Row", "SWEEP_SCHEMA"),
)  # fmt: skip
KEYED = (
    Keyed("advice", "`kistack advise --json`", "reporting.advice:advice_document"),
    Keyed("candidate", "each of `candidates` and `best` of the advice", "reporting.advice:_document"),
    Keyed("run", "`kistack run --json`, `kistack report --format json`", "reporting.runs:run_document"),
    Keyed("step of a run", "each of `steps` of a run", "reporting.runs:step_document"),
    Keyed("answer", "each of `answers` of `kistack ask --json`", "reporting.answers:answer_document"),
    Keyed("sweep", "`kistack sweep --json`", "sweeping.summary:sweep_document"),
    Keyed("policies", "`kistack policies list --json`", "reporting.policies:policies_document"),
    Keyed("policy check", "`kistack policies check --json`", "reporting.policies:policy_check_document"),
    Keyed("check", "`kistack check --json`, with `cached` beside", "composition.pipeline:Pipeline.describe"),
    Keyed("demo", "`kistack demo --json`", "cli.demoing:_document"),
)


def schemas() -> dict[str, str]:
    """The text of every JSON schema by its file's name."""
    found = {}
    for document in TYPED:
        schema = TypeAdapter(_named(document.type)).json_schema(by_alias=True)
        found[f"{document.name}.json"] = json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return found


def documents_page() -> str:
    """Every document with its version, keys or schema, and the events of a run."""
    rows = [
        (f"[{d.name}](schemas/{d.name}.json)", d.where, _version(d), sentence(_named(d.type).__doc__)) for d in TYPED
    ]
    blocks = [
        "## With a JSON schema",
        table(("document", "where", "schema", "what it is"), rows),
        "## Told by their keys",
    ]
    for document in KEYED:
        keys, said = _keys(document.function)
        blocks += [
            f"### {document.name}",
            f"{document.where[0].upper()}{document.where[1:]}. {said}".strip(),
            "Keys: " + ", ".join(code(k) for k in keys) + ".",
        ]
    opening = (
        f"`.kistack/runs/ID/{events.EVENTS_FILE}` holds one JSON object a line, appended as things happen: `event`, "
        f"its fields, and `time` in seconds since 1970. The form's version is {events.EVENT_SCHEMA}."
    )
    blocks += ["## Events of a run", opening]
    for event in _events():
        fields = [(code(n), words(f.type if isinstance(f.type, type) else _hint(event, n))) for n, f in _own(event)]
        blocks += [f"### {event.name}", sentence(event.__doc__), table(("field", "type"), fields)]
    return page("Documents and their schemas", OPENING, blocks)


def _named(path: str) -> Any:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(f"kistack.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _version(document: Typed) -> str:
    return str(_named(f"{document.type.partition(':')[0]}:{document.version}")) if document.version else "1"


def _keys(path: str) -> tuple[list[str], str]:
    """The keys of the dictionary that a function returns, from its source, and what its docstring says."""
    function = _named(path)
    [definition] = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body
    returned = [node.value for node in ast.walk(definition) if isinstance(node, ast.Return)]
    for value in returned:
        if isinstance(value, ast.Dict):
            keys = [str(k.value) for k in value.keys if isinstance(k, ast.Constant)]
            spread = [v.generators[0].iter for k, v in zip(value.keys, value.values, strict=True)
                      if k is None and isinstance(v, ast.DictComp)]  # fmt: skip
            return [*keys, *(name for names in spread for name in _listed(names, function))], sentence(function.__doc__)
    raise LookupError(f"{path} returns no dictionary that its source shows")


def _listed(names: ast.expr, function: Any) -> list[str]:
    """The names that a comprehension goes over: written there, or a constant of the module."""
    if isinstance(names, ast.Name):
        return [str(name) for name in getattr(inspect.getmodule(function), names.id)]
    return [e.value for e in ast.walk(names) if isinstance(e, ast.Constant) and isinstance(e.value, str)]


def _events() -> list[type[events.Event]]:
    return list(events.EVENTS.values())


def _own(event: type[events.Event]) -> list[tuple[str, Any]]:
    return [(n, f) for n, f in event.__dataclass_fields__.items() if n not in {"time", "name"}]


def _hint(event: type[events.Event], name: str) -> Any:
    return inspect.get_annotations(event, eval_str=True).get(name, Any)
