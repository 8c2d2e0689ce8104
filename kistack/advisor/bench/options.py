"""A published option as the advisor sees it: a profile, the levers as stages, what they cost and what they change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kistack.advisor.bench.comparisons import Comparison, KnownFacts, Option
from kistack.advisor.effects import EffectTable
from kistack.advisor.features import Change, Features
from kistack.domain.artifacts import Type
from kistack.domain.facts import Fact, Profile, Value, assumed, declared
from kistack.plugins import costs

GIB = 2.0**30
#: Shares that the words of a comparison stand for.
KNOWN = {"none": 0.02, "little": 0.10, "half": 0.50, "most": 0.75}
#: What changes stand for, as a share of the content per day.
CHANGES = {"static": 0.0, "yearly": 0.0008, "monthly": 0.01, "weekly": 0.04, "daily": 0.2}
POPULAR = {"rare": 0.0, "mixed": 0.5, "popular": 1.0}
#: Bits per weight of a lever that names a whole number of them: with the scales of groups of 32 to 128.
_GROUPED = {8: 8.0, 6: 6.5625, 5: 5.5, 4: 4.5, 3: 3.5, 2: 2.6, 1: 1.7}
#: Tokens of one training example, by its form: assumed.
_TOKENS = {"instructions": 400.0, "labels": 100.0, "qa": 60.0, "qa_with_passages": 600.0, "raw_text": 500.0}
#: What a comparison is taken to train on where it does not say how much.
_PAIRS = 1000.0
_HORIZON = 90.0


@dataclass(frozen=True, slots=True)
class Read:
    """An option in the advisor's words."""

    option: Option
    features: Features
    techniques: tuple[str, ...]
    stages: tuple[str, ...]
    view: Mapping[str, Any]
    model: Type
    bits: float


def profile_of(row: Comparison) -> Profile:
    """The facts of a comparison as a profile: only those it states."""
    facts, found = row.facts, dict[str, Fact]()

    def put(name: str, value: Value | None) -> None:
        if value is not None:
            found[name] = declared(value, "stated by the comparison")

    put("scenario.task", facts.task)
    put("scenario.horizon_days", _HORIZON)
    put("scenario.queries_per_day", 1000.0)
    put("freshness.changed_per_day", CHANGES.get(facts.changes or ""))
    if facts.corpus is not None:
        found["corpus.documents"] = assumed(1000.0, "documents are at hand; how many is not stated")
        put("corpus.tokens", facts.corpus.tokens)
    put("pairs.train", pairs_of(facts))
    if (share := known_share(facts)) is not None and facts.task != "behaviour":
        put("probe.closed_book", share)
    put("model.params", _params(facts.base.params_b))
    put("model.context", facts.base.context)
    if facts.teacher is not None:
        put("teacher.params", _params(facts.teacher.params_b))
    for name, limit in (("memory", facts.limits.memory_gib), ("disk", facts.limits.bytes_gib)):
        if isinstance(limit, float) and not isinstance(limit, bool):
            put(f"scenario.limit_{name}", limit * GIB)
    for section, machine in (("serving", facts.serve_on), ("hardware", facts.train_on)):
        if machine is not None and machine.device:
            put(f"{section}.gpus", 0.0 if machine.device in {"cpu", "phone"} else 1.0)
    return Profile(found)


def _params(billions: float | None) -> float | None:
    return None if billions is None else billions * 1e9


def pairs_of(facts: KnownFacts) -> float | None:
    """Labelled pairs to train on; a usual number where their form is stated but not how many."""
    if facts.pairs is None:
        return None
    if facts.pairs.labelled is not None:
        return facts.pairs.labelled
    return _PAIRS if facts.pairs.form not in {None, "none", "raw_text"} else None


def known_share(facts: KnownFacts) -> float | None:
    """What the base model knows, or does rightly, as a share."""
    known = facts.base_knows
    if isinstance(known, str):
        return KNOWN.get(known)
    if known is None:
        return KNOWN["none"] if facts.post_cutoff and facts.task == "facts" else None
    return float(known)


# --- levers


def read_option(row: Comparison, option: Option, table: EffectTable) -> Read:
    """One option of a comparison as features, stages and a view for rules."""
    facts, levers = row.facts, option.levers
    params = params_of(facts, levers)
    lookup = str(levers.get("retrieve") or "off")
    retrieves = lookup != "off"
    changes = _changes(row, levers)
    stored = changes[-1].bits[1] if changes and changes[-1].kind == "quantize" else 16.0
    stages = [f"retrieve/{lookup}"] if retrieves else []
    stages += [c.stage for c in changes]
    base = (_params(facts.base.params_b) or params) if _distilled(levers) else params
    stale = levers.get("objective") == "stale_index"
    features = Features(
        task=facts.task,
        metric=_metric(row),
        params=base,
        passages=3.0 if retrieves else 0.0,
        changes=changes,
        hazard=CHANGES.get(facts.changes or "", 0.0),
        horizon_days=_HORIZON,
        refresh_days=4 * _HORIZON if stale else 1.0,
        measured=_measured(facts, base, table),
        lookup={"gated": "gated", "long_context": "everything"}.get(lookup, "always"),  # type: ignore[arg-type]
        retrain_days=_HORIZON,
        popular=POPULAR.get(facts.popularity or "", 0.0),
        encoder=facts.base.kind == "encoder",
        forgetting_matters=bool(facts.limits.forgetting),
        trains_on=_trains_on(row, levers),
    )
    techniques = tuple(dict.fromkeys(s.partition("/")[0] for s in stages))
    view = {
        "techniques": list(techniques),
        "stages": stages,
        "settings": {},
        "bits": stored,
        "passages": features.passages,
        "student_ratio": math.prod(c.ratio for c in changes),
        "trains_on": sorted(features.trains_on),
        "trains_on_private": False,
        "trained_with_passages": any(c.with_passages for c in changes),
    }
    return Read(option, features, techniques, tuple(stages), view, shape_of(params), stored)


def _trains_on(row: Comparison, levers: Mapping[str, Any]) -> frozenset[str]:
    if all(str(levers.get(name) or "none") == "none" for name in ("tune", "distill")):
        return frozenset()
    return frozenset({"corpus" if _form(row, levers) == "raw_text" else "pairs"})


def params_of(facts: KnownFacts, levers: Mapping[str, Any]) -> float:
    """Parameters of the option's model.

    One that is named without its size counts as half a decade smaller than the base: nobody should rely on what cannot
    be sized.
    """
    base = _params(facts.base.params_b)
    if "params_b" in levers:
        stated = _params(levers["params_b"])
        return stated if stated is not None else (base or 1e9) / 10**0.5
    return base or 1e9


def _distilled(levers: Mapping[str, Any]) -> bool:
    return str(levers.get("distill") or "none") != "none"


def _metric(row: Comparison) -> str:
    """Whether the answer's exact wording counts: a label or an exact match."""
    facts = row.facts
    form = facts.pairs.form if facts.pairs is not None else None
    words = row.metric.name.lower().replace(",", " ").split()
    exact = form == "labels" or {"em", "bleu", "rouge-l", "f1"} & set(words)
    return "exact" if exact and facts.task != "behaviour" else "contained"


def _measured(facts: KnownFacts, params: float, table: EffectTable) -> tuple[tuple[str, float, float], ...]:
    """What the comparison says was measured, moved from the base's size to this model's."""
    found: list[tuple[str, float, float]] = []
    if (share := known_share(facts)) is not None:
        name = "skill" if facts.task == "behaviour" else "closed_book"
        slope = table.priors["skill_per_decade" if name == "skill" else "closed_book_per_decade"].value
        size = _params(facts.base.params_b) or params
        moved = min(0.97, max(0.01, share + slope * math.log10(params / size)))
        found.append((name, moved, 0.03 if isinstance(facts.base_knows, float) else 0.10))
    if facts.retrieval is not None:
        if facts.retrieval.ideal:
            found.append(("recall", 0.97, 0.01))
        elif facts.retrieval.recall is not None:
            found.append(("recall", facts.retrieval.recall, 0.03))
    return tuple(found)


def _changes(row: Comparison, levers: Mapping[str, Any]) -> tuple[Change, ...]:
    found = []
    if _distilled(levers):
        found.append(_distilling(row, levers))
    if str(levers.get("tune") or "none") != "none":
        found.append(_tuning(row, levers))
    if str(levers.get("quantize") or "none") != "none":
        found.append(_quantizing(str(levers["quantize"]), levers))
    return tuple(found)


def _form(row: Comparison, levers: Mapping[str, Any]) -> str:
    pairs = row.facts.pairs
    form = levers.get("tune_data") or (pairs.form if pairs is not None else None) or "qa"
    return "qa" if form == "none" else str(form)


def _amount(row: Comparison, form: str) -> tuple[float, float]:
    """(pairs, tokens) that a lesson of this form is taken from."""
    facts = row.facts
    corpus = facts.corpus.tokens if facts.corpus is not None else None
    pairs = pairs_of(facts) or 0.0
    if form == "raw_text":
        return 0.0, corpus or 0.0
    pairs = pairs or _PAIRS
    return pairs, pairs * _TOKENS.get(form, 100.0)


def _tuning(row: Comparison, levers: Mapping[str, Any]) -> Change:
    method, form = str(levers["tune"]), _form(row, levers)
    pairs, tokens = _amount(row, form)
    shown = levers.get("with_rag_context")
    with_passages = form == "qa_with_passages" if shown is None else bool(shown)
    objective = str(levers.get("objective") or "")
    rank = levers.get("rank")
    trained = adapter_params(params_of(row.facts, levers), float(rank)) if rank else 0.0
    data = "raw_text" if form == "raw_text" else form
    if data == "raw_text" and "paraphrase" in objective:
        data = "paraphrases"
    return Change(
        kind="tune",
        stage=f"tune/{method}",
        with_passages=with_passages,
        pairs=pairs,
        tokens=tokens,
        method=method,
        data=data,
        trained=trained,
        objective="fp4" if "fp4" in objective else objective,
    )


def _distilling(row: Comparison, levers: Mapping[str, Any]) -> Change:
    facts, method = row.facts, str(levers["distill"])
    pairs, tokens = _amount(row, _form(row, levers))
    base = _params(facts.base.params_b)
    own = params_of(facts, levers)
    ratio = min(1.0, own / base) if base else 1.0
    teacher = _params(facts.teacher.params_b) if facts.teacher is not None else None
    if teacher is None and facts.teacher is not None and facts.teacher.access == "black_box":
        teacher = 10 * (base or own)  # a service one pays for: larger than what is run beside it
    from_text = facts.corpus.tokens if facts.corpus is not None else None
    return Change(
        kind="distill",
        stage=f"distill/{method}",
        pairs=pairs,
        # A student that is smaller than its teacher is taught on as much as was at hand, else on what is usual.
        tokens=from_text or (1e9 if ratio < 1 and not pairs_of(facts) else max(tokens, 1e9 if ratio < 1 else tokens)),
        ratio=ratio,
        teacher=teacher or 0.0,
        method=method,
        data=_form(row, levers) if _form(row, levers) != "raw_text" else "instructions",
        narrower=levers.get("student_from") == "width",
        objective=str(levers.get("objective") or ""),
    )


def _quantizing(lever: str, levers: Mapping[str, Any]) -> Change:
    named = str(levers.get("quant_method") or "").lower()
    trained, rest = lever.startswith("qat_"), lever.removeprefix("qat_")
    digits = "".join(c for c in rest.partition("_")[0] if c.isdigit())
    stored = _GROUPED.get(int(digits) if digits else 8, 8.0)
    if named in costs.BITS:
        stored = costs.bits(named)
    method = "weight"
    if trained:
        method = "qat"
    elif "act" in rest.partition("_")[2] or "static" in rest:
        method = "activations"
    elif "dynamic" in rest:
        method = "dynamic"
    elif stored == _GROUPED[8] and not rest.startswith("fp8"):
        method = "int8"
    return Change(kind="quantize", stage=f"quantize/{lever}", bits=(16.0, stored), method=method)


# --- shapes


def shape_of(params: float) -> Type:
    """A usual shape for this many parameters: 12·h² a layer, as many layers as h / 128."""
    hidden = max(64.0, (128 * params / 12) ** (1 / 3))
    layers = max(2.0, hidden / 128)
    facts = {
        "params": params,
        "layers": layers,
        "hidden": hidden,
        "heads": max(1.0, hidden / 128),
        "kv_heads": max(1.0, hidden / 512),
        "head_dim": 128.0,
        "ffn": 2.7 * hidden,
        "vocab": min(32_000.0, 0.2 * params / hidden),
    }
    return Type("model", "hf", {"precision": "bf16"}, facts)


def adapter_params(params: float, rank: float) -> float:
    """Parameters of a LoRA adapter on all linear layers of a model of this size."""
    return costs.lora_params(shape_of(params), int(rank))


def without(row: Comparison, fact: str) -> Comparison:
    """The comparison as if one of its facts were unknown (``limits.memory_gib`` reaches into a group)."""
    group, _, leaf = fact.partition(".")
    if not leaf:
        empty = KnownFacts.model_fields[group].get_default(call_default_factory=True)
        return row.model_copy(update={"facts": row.facts.model_copy(update={group: empty})})
    held = getattr(row.facts, group)
    if held is None:
        return row
    changed = held.model_copy(update={leaf: None})
    return row.model_copy(update={"facts": row.facts.model_copy(update={group: changed})})
