"""kistack: decide, build and prove how a language model should get its knowledge.

The names below are loaded when they are first used, so that importing kistack costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kistack.bundle.differences import RunDifference
    from kistack.bundle.opening import Answer, Bundle, open_bundle
    from kistack.bundle.reproducing import Reproduction
    from kistack.bundle.verbs import advise, compose, diff, evaluate, probe, profile, reproduce, run
    from kistack.bundle.workspace import Workspace
    from kistack.domain.advice import Candidate, Reason, Recommendation
    from kistack.domain.facts import Fact, Profile
    from kistack.domain.plan import Plan, Step
    from kistack.domain.planfile import dump_plan, load_plan
    from kistack.domain.records import RunRecord
    from kistack.domain.scenario import Scenario, load_scenario
    from kistack.errors import KistackError
    from kistack.evaluation.probes import Probe
    from kistack.reporting.verbs import report
    from kistack.sweeping.rows import Sweep
    from kistack.sweeping.staleness import Staleness
    from kistack.sweeping.verbs import staleness, sweep

__all__ = [
    "Answer",
    "Bundle",
    "Candidate",
    "Fact",
    "KistackError",
    "Plan",
    "Probe",
    "Profile",
    "Reason",
    "Recommendation",
    "Reproduction",
    "RunDifference",
    "RunRecord",
    "Scenario",
    "Staleness",
    "Step",
    "Sweep",
    "Workspace",
    "advise",
    "compose",
    "diff",
    "dump_plan",
    "evaluate",
    "load_plan",
    "load_scenario",
    "open_bundle",
    "probe",
    "profile",
    "report",
    "reproduce",
    "run",
    "staleness",
    "sweep",
]

_HOMES = {
    "Answer": "kistack.bundle.opening",
    "Bundle": "kistack.bundle.opening",
    "Candidate": "kistack.domain.advice",
    "Fact": "kistack.domain.facts",
    "KistackError": "kistack.errors",
    "Plan": "kistack.domain.plan",
    "Probe": "kistack.evaluation.probes",
    "Profile": "kistack.domain.facts",
    "Reason": "kistack.domain.advice",
    "Recommendation": "kistack.domain.advice",
    "Reproduction": "kistack.bundle.reproducing",
    "RunDifference": "kistack.bundle.differences",
    "RunRecord": "kistack.domain.records",
    "Scenario": "kistack.domain.scenario",
    "Staleness": "kistack.sweeping.staleness",
    "Step": "kistack.domain.plan",
    "Sweep": "kistack.sweeping.rows",
    "Workspace": "kistack.bundle.workspace",
    "advise": "kistack.bundle.verbs",
    "compose": "kistack.bundle.verbs",
    "diff": "kistack.bundle.verbs",
    "dump_plan": "kistack.domain.planfile",
    "evaluate": "kistack.bundle.verbs",
    "load_plan": "kistack.domain.planfile",
    "load_scenario": "kistack.domain.scenario",
    "open_bundle": "kistack.bundle.opening",
    "probe": "kistack.bundle.verbs",
    "profile": "kistack.bundle.verbs",
    "report": "kistack.reporting.verbs",
    "reproduce": "kistack.bundle.verbs",
    "run": "kistack.bundle.verbs",
    "staleness": "kistack.sweeping.verbs",
    "sweep": "kistack.sweeping.verbs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kistack' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
