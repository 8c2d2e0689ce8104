"""What the slots hold before the first step: the scenario's data, and its models through their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kistack.composition.pipeline import Bound, Ref
from kistack.composition.requests import Request
from kistack.composition.workbench import Workbench
from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.plan import Plan
from kistack.errors import KistackError, Problem
from kistack.profiling.models import claim

#: Scenario models: slot to the section of the profile that describes it.
MODEL_SLOTS = {"model": "model", "teacher": "teacher", "embedder": "embedder"}

_NUMBERS = ("params", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "bytes")
_FACETS = ("precision", "family", "vocabulary")


def given_types(profile: Profile) -> dict[str, Type]:
    """The scenario's own inputs as the profile describes them: corpus, pairs, and the held-out items."""
    given: dict[str, Type] = {}
    if identity := profile.text("corpus.identity"):
        names = {"count": "documents", "tokens": "tokens", "bytes": "bytes"}
        given["corpus"] = Type("corpus", "jsonl", {"content": "documents"}, _facts(profile, "corpus", names), identity)
    lengths = {"prompt_tokens": "prompt_tokens", "answer_tokens": "answer_tokens"}
    if identity := profile.text("pairs.identity"):
        facts = _facts(profile, "pairs", {"count": "train", "bytes": "train_bytes", **lengths})
        facts["tokens"] = facts.get("count", 0) * (facts.get("prompt_tokens", 0) + facts.get("answer_tokens", 0))
        given["pairs"] = Type("pairs", "jsonl", {"passages": "without"}, facts, identity)
    if identity := profile.text("items.identity"):
        facts = _facts(profile, "pairs", {"count": "test", "bytes": "test_bytes", **lengths})
        given["items"] = Type("items", "jsonl", {"passages": "without"}, facts, identity)
    return given


def _facts(profile: Profile, section: str, names: Mapping[str, str]) -> dict[str, float]:
    return {n: profile.number(f"{section}.{of}") for n, of in names.items() if f"{section}.{of}" in profile}


def place_sources(bench: Workbench, plan: Plan) -> set[str]:
    """Fill the model slots with the sources that the profile names; returns their nodes' keys.

    Plans that share a memo and a base share them: claiming a reference looks at files.
    """
    mark = ("sources", plan.base, bench.seed)
    kept: Any = bench.memo.find(mark)
    if kept is None:
        keys = _placed(bench, plan)
        if not bench.problems:
            slots = {s: bench.slots[s] for s in MODEL_SLOTS if s in bench.slots}
            bench.memo.keep(mark, (keys, {k: bench.nodes[k] for k in keys}, slots), made=keys)
        return keys
    keys, nodes, slots = kept
    bench.nodes.update(nodes)
    bench.slots.update(slots)
    return set(keys)


def _placed(bench: Workbench, plan: Plan) -> set[str]:
    keys = set()
    for slot, section in MODEL_SLOTS.items():
        own = bench.profile.text(f"{section}.reference")
        reference = plan.base if slot == "model" and plan.base else own
        if not reference:
            continue
        try:
            claimed = claim(reference, bench.host.sources())
            stage, settings = claimed.stage, claimed.settings
            found = _profiled(bench.profile, section) if reference == own else stage.inspect(settings)
        except KistackError as error:
            bench.problems.append(Problem(f"models.{section}", error.message, error.hint))
            continue
        request = Request(stage, settings, f"models.{section}", content=found.identity, purpose="source")
        node = bench.place(request)
        if node is None:
            continue
        out, made = next(iter(node.outputs.items()))
        known = replace(
            made,
            format=found.format or made.format,
            facts={**made.facts, **found.facts},
            facets={**made.facets, **found.facets},
            line=(),
        )
        bench.nodes[node.key] = replace(node, outputs={**node.outputs, out: known})
        keys.add(node.key)
        bench.slots[slot] = Bound(Ref(node.key, out), known)
    return keys


def _profiled(profile: Profile, section: str) -> Type:
    """What the profile knows of a model."""
    facts = {n: profile.number(f"{section}.{n}") for n in _NUMBERS if f"{section}.{n}" in profile}
    facets = {n: profile.text(f"{section}.{n}") for n in _FACETS if f"{section}.{n}" in profile}
    kind = "embedder" if section == "embedder" else "model"
    return Type(kind, profile.text(f"{section}.format"), facets, facts, profile.text(f"{section}.identity"))
