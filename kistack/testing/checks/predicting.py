"""The estimate: complete, pure, fast, light, the same everywhere, and growing with its input."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.domain.records import COST_UNITS, Estimate
from kistack.plugins import patience
from kistack.plugins.stages import Load
from kistack.testing.findings import Fault, Skip, check
from kistack.testing.lightness import as_json
from kistack.testing.subject import Subject

#: Longest that a call of a pure method may take: 16 combinations times all suggestions are judged in two seconds.
CALL_SECONDS = 0.02
#: What doubles with its input; the rest (tokens per item, passages per question) stays as it is.
_GROWING = ("count", "tokens", "bytes", "params")


@check("estimate-complete", "states seconds and peak memory, and the bytes of every output")
def estimate_complete(subject: Subject) -> None:
    """Without them a plan has no price: limits cannot be checked, and the composer refuses an output without bytes."""
    _must_run(subject)
    call = subject.calls["estimate"]
    if "error" in call:
        raise Fault(f"estimate raised {call['error']}", "estimate must answer for any profile and inputs")
    found = subject.ask("estimate", subject.resolved, subject.profile, subject.types)
    if not isinstance(found, Estimate):
        raise Fault(f"estimate returns {type(found).__name__}", "return Estimate(costs, facts)")
    unknown = sorted(set(found.costs) - set(COST_UNITS))
    if unknown:
        raise Fault(f"its estimate has a cost {unknown[0]!r}", f"costs are {', '.join(COST_UNITS)}")
    _check_finite(found, "estimate")
    for cost in ("seconds", "peak_bytes"):
        if found.cost(cost) <= 0:
            raise Fault(f"its estimate does not say {cost}", f"Estimate({{{cost!r}: …}}, …)")
    for name in subject.traits.produces:
        if "bytes" not in found.facts.get(name, {}):
            raise Fault(f"its estimate does not say the bytes of {name!r}", f"facts={{{name!r}: {{'bytes': …}}}}")
    others = sorted(set(found.facts) - set(subject.traits.produces))
    if others:
        raise Fault(f"its estimate has facts of {others[0]!r}, which is no output", "name outputs as the traits do")


def _must_run(subject: Subject) -> None:
    """Only what runs has an estimate; what only opens has ``serving``."""
    if not subject.runs:
        raise Skip("it only opens")


def _check_finite(found: Estimate, what: str) -> None:
    numbers: dict[str, float] = {**found.costs}
    for out, facts in found.facts.items():
        numbers |= {f"{out}.{n}": v for n, v in facts.items()}
    for name, value in numbers.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
            raise Fault(f"its {what} says {name} = {value!r}", "an estimate is a finite number, 0 or more")
    if found.raw or found.intervals:
        raise Fault(f"its {what} fills raw or intervals", "leave them empty: calibration fills them")


@check("estimate-pure", "gives the same answers twice, and changes nothing it is given")
def estimate_pure(subject: Subject) -> None:
    """The advice keeps and shares answers; one that depends on the clock or on what was asked before misleads."""
    _must_run(subject)
    types, profile = subject.types, subject.profile
    before = (as_json(profile.to_json()), as_json([dict(t.facts) for t in types.values()]))
    first = {n: c.get("answer") for n, c in subject.calls.items()}
    again = as_json(subject.ask("estimate", subject.resolved, profile, types))
    if first["estimate"] is not None and again != first["estimate"]:
        raise Fault("estimate gives two answers to one question", "compute it from settings, profile and inputs alone")
    if (as_json(profile.to_json()), as_json([dict(t.facts) for t in types.values()])) != before:
        raise Fault("estimate changes the profile or its inputs", "copy what you change")


@check("estimate-same-everywhere", "gives the same answers in another process")
def estimate_same_everywhere(subject: Subject) -> None:
    """Keys and advice are computed in many processes, with other hash seeds: the order of a set must not show."""
    for name in patience.PURE:
        here, there = subject.calls[name], subject.light.get("calls", {}).get(name)
        if there is None:
            raise Skip("see light-import")
        if here.get("answer") != there.get("answer"):
            raise Fault(
                f"{name} answers otherwise in a fresh process", "sort what comes from sets; read no environment"
            )


@check("estimate-light", "answers without importing anything heavy")
def estimate_light(subject: Subject) -> None:
    """Traits, suggestions, estimates run in the user's process, in the wizard too: no torch there."""
    if "heavy" not in subject.light:
        raise Skip(f"see light-import: {subject.light.get('error', '')}")
    if subject.light["heavy"]:
        raise Fault(f"asking it loads {', '.join(subject.light['heavy'])}", "import it inside run or open")


@check("estimate-fast", "answers within 20 milliseconds")
def estimate_fast(subject: Subject) -> None:
    """The quickest of several calls counts, here or in a fresh process."""
    for name in patience.PURE:
        here, there = subject.calls[name], subject.light.get("calls", {}).get(name, {})
        seconds = min(here.get("seconds", math.inf), there.get("seconds", math.inf))
        if math.isfinite(seconds) and seconds > CALL_SECONDS:
            raise Fault(
                f"{name} takes {1000 * seconds:.0f} ms", "compute from facts: open no files, start no processes"
            )


@check("estimate-unknowing", "answers where the profile knows nothing of the machine")
def estimate_unknowing(subject: Subject) -> None:
    """A target machine may be known by name only: what is missing takes a default, and is never a reason to raise."""
    _must_run(subject)
    try:
        found = subject.ask("estimate", subject.resolved, Profile({}), subject.types)
    except Exception as error:
        raise Fault(
            f"estimate raised {type(error).__name__} on an empty profile: {error}", "profile.number(name, default)"
        ) from error
    _check_finite(found, "estimate on an empty profile")


@check("estimate-grows", "expects no less work of twice the input")
def estimate_grows(subject: Subject) -> None:
    """Counts, tokens, bytes and parameters of every input are doubled: no cost and no size may fall."""
    if not subject.types or not subject.runs:
        raise Skip("it reads nothing")
    doubled = {
        port: dataclasses.replace(t, facts={n: 2 * v if n in _GROWING else v for n, v in t.facts.items()})
        for port, t in subject.types.items()
    }
    one = _costs(subject.estimate)
    two = _costs(subject.ask("estimate", subject.resolved, subject.profile, doubled))
    for name, value in one.items():
        if name != "tokens_per_second" and two.get(name, 0.0) < 0.999 * value:
            raise Fault(
                f"its {name} falls from {value:g} to {two.get(name, 0.0):g} with twice the input", "check its sign"
            )


def _costs(found: Estimate) -> Mapping[str, float]:
    return {**found.costs, "bytes": found.made}


@check("serving-complete", "says what the opened artifact costs where it serves")
def serving_complete(subject: Subject) -> None:
    """A model: latency, tokens a second and memory; an index: seconds a query, memory, and tokens its passages add."""
    if not subject.traits.opens:
        raise Skip("it opens nothing")
    wanted = {"model": ("latency_seconds", "tokens_per_second", "peak_bytes"), "index": ("query_seconds", "peak_bytes")}
    for opens in subject.traits.opens:
        if opens.kind not in wanted:
            continue
        found = subject.ask("serving", subject.resolved, subject.profile, _opened_type(subject, opens.kind), Load())
        _check_finite(found, "serving estimate")
        for cost in wanted[opens.kind]:
            if found.cost(cost) <= 0:
                raise Fault(f"its serving estimate does not say {cost}", f"Estimate({{{cost!r}: …}})")
        if opens.kind == "index" and "tokens" not in found.facts.get("passages", {}):
            raise Fault(
                "its serving estimate does not say how long passages make a prompt", "facts={'passages': {'tokens': …}}"
            )


def _opened_type(subject: Subject, kind: str) -> Type:
    [form, *_] = [o.format.split("|")[0] for o in subject.traits.opens if o.kind == kind]
    artifact = subject.opened[form]["artifact"]
    return Type(artifact.kind, artifact.format, dict(artifact.facets), dict(artifact.facts), artifact.key)
