"""The hooks. A hook registers classes, the classes do the work; ``hooks.py`` of a plugin imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from kistack.domain.advice import Candidate, Reason
    from kistack.domain.artifacts import Artifact
    from kistack.domain.facts import Profile
    from kistack.domain.records import RunRecord
    from kistack.domain.scenario import Scenario
    from kistack.plugins.environments import Environment
    from kistack.plugins.stages import Stage

PROJECT = "kistack"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- the four techniques


@hookspec
def kistack_register_retrievers() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``retrieve/…``: they write an index and open it."""


@hookspec
def kistack_register_distillers() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``distill/…``: they teach a student from a teacher."""


@hookspec
def kistack_register_tuners() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``tune/…``: they adapt a model to pairs."""


@hookspec
def kistack_register_quantizers() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``quantize/…``: they store weights in fewer bits."""


# --- around them


@hookspec
def kistack_register_stages() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages of any other kind, unknown to the core: a pruner, a merge, an embedder's training."""


@hookspec
def kistack_register_runtimes() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``runtime/…``: they open a model format and generate."""


@hookspec
def kistack_register_evaluators() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``evaluate/…``: they turn answers into scores."""


@hookspec
def kistack_register_profilers() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``profile/…``: they measure machines and data; their outs' facts join the profile."""


@hookspec
def kistack_register_sources() -> Sequence[type[Stage]]:  # type: ignore[empty-body]
    """Stages named ``source/…``: where models come from."""


@hookspec
def kistack_register_environments() -> Sequence[Environment]:  # type: ignore[empty-body]
    """Environments of its own, which stages name in their traits because their dependencies clash with others'."""


@hookspec
def kistack_register_policies() -> Sequence[Path]:  # type: ignore[empty-body]
    """More policy files (YAML)."""


@hookspec
def kistack_judge_candidate(candidate: Candidate, profile: Profile) -> Sequence[Reason]:  # type: ignore[empty-body]
    """A plugin's own reasons for or against a candidate."""


# --- lifecycle, called in the process that drives the run; what they raise becomes a warning that names the plugin


@hookspec
def kistack_run_started(run: str, scenario: Scenario, folder: Path) -> None:
    """A run is about to start; ``folder`` holds its plan and its facts.

    The time to say, by raising, that ``scenario.trackers`` or the place to write to are of no use.
    """


@hookspec
def kistack_before_step(run: str, use: str, key: str) -> None:
    """A step is about to start."""


@hookspec
def kistack_after_step(run: str, use: str, key: str, record: dict[str, Any]) -> None:
    """A step is done; ``record`` is its StepRecord as a mapping."""


@hookspec
def kistack_step_failed(run: str, use: str, key: str, error: str) -> None:
    """A step failed."""


@hookspec
def kistack_run_finished(record: RunRecord, scenario: Scenario, folder: Path) -> None:
    """A run ended, well or not; its record, plan, facts, events and bundle lie in ``folder``."""


# --- tests


@hookspec
def kistack_make_specimen(kind: str, format: str, folder: Path) -> Artifact | None:  # noqa: A002
    """For tests only: a tiny artifact of a kind and format that this plugin brings, written into the empty ``folder``.

    None where it is not this plugin's. An empty ``format`` asks for any.
    """
