"""The goals: which keys of the scenario they are, how they are written, and what is recommended under them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kistack.errors import InvalidInput, KistackError
from kistack.profiling.assembly import scenario_facts
from kistack.reporting.numbers import shown
from kistack.tui.board import rejecting
from kistack.tui.stating import stated, value_text
from kistack.units import (  # fmt: skip
    format_duration,
    format_money,
    format_share,
    format_size,
    parse_duration,
    parse_money,
    parse_rate,
    parse_share,
    parse_size,
)

if TYPE_CHECKING:
    from kistack.advisor.judging import Bench, Judgement
    from kistack.tui.session import Session


@dataclass(frozen=True, slots=True)
class Goal:
    """A key of the scenario that says what is wanted: its label, how it is written, and how it is stepped."""

    key: str
    label: str
    hint: str
    parse: Callable[[Any], float] | None = None
    show: Callable[[float], str] | None = None
    choices: tuple[str, ...] = ()
    step: float = 0.0  # added; where it is 0 the value is doubled or halved
    first: str = ""  # what an empty limit is stepped to


def _plain(value: float) -> str:
    return f"{value:g}"


GOALS = (
    Goal("task.kind", "Task", "facts, behaviour (form, tone, skill) or both",
         choices=("facts", "behaviour", "both")),
    Goal("task.at_least", "Good enough", "share of the metric, such as 70%", parse_share, format_share, step=0.05,
         first="70%"),
    Goal("indifference", "Indifference", "points that do not matter, such as 2", float, _plain, step=1.0),
    Goal("horizon", "Horizon", "how long it serves, such as 90d", parse_duration, format_duration),
    Goal("traffic.queries_per_day", "Questions a day", "such as 500", parse_rate, _plain),
    Goal("limits.memory", "Memory", "while serving, such as 2GiB", parse_size, format_size, first="2GiB"),
    Goal("limits.disk", "Disk", "what is deployed, such as 500MB", parse_size, format_size, first="500MB"),
    Goal("limits.latency_p95", "Latency", "95 % of the answers, such as 3s", parse_duration, format_duration,
         first="3s"),
    Goal("limits.training_time", "Training", "all training, such as 2h", parse_duration, format_duration, first="2h"),
    Goal("limits.money", "Money", "training and services, such as $3", parse_money, format_money, first="$3"),
)  # fmt: skip
BY_KEY: Mapping[str, Goal] = {goal.key: goal for goal in GOALS}


def texts(session: Session) -> dict[str, str]:
    """Every goal as it stands, as a user writes it."""
    scenario = stated(session)
    return {goal.key: session.changes.get(goal.key, value_text(scenario, goal.key)) for goal in GOALS}


def problem(session: Session, key: str, text: str) -> str:
    """What is wrong with a goal's text, with what would be accepted; empty where it fits."""
    try:
        stated(session, {key: text})
    except InvalidInput as error:
        found = error.problems[0]
        return f"{found.message.partition(': ')[2] or found.message}; {found.hint}" if found.hint else found.message
    except KistackError as error:
        return error.message
    return ""


def nudged(goal: Goal, text: str, up: bool) -> str:
    """The text one step up or down; an empty limit becomes one. Unchanged where it is no value that can be stepped."""
    if goal.choices:
        number = goal.choices.index(text) if text in goal.choices else 0
        return goal.choices[(number + (1 if up else -1)) % len(goal.choices)]
    if not text.strip():
        return goal.first
    if goal.parse is None or goal.show is None:
        return text
    try:
        value = float(goal.parse(text))
    except (KistackError, ValueError):
        return text
    if goal.step:
        value = max(0.0, value + (goal.step if up else -goal.step))
        value = min(value, 1.0) if goal.parse is parse_share else value
    else:
        value = value * 2 if up else value / 2
    return goal.show(float(f"{value:.12g}"))


def settle(bench: Bench) -> None:
    """Work out beforehand what a change of goals may ask for, so that none of them has to wait for it.

    Intervals are worked out when somebody looks at them, as a floor for quality does. And what candidates are made of
    stays: the collector of garbage need not walk it again and again, which would take longer than judging.
    ``gc.unfreeze`` takes the latter back.
    """
    for judged in bench.judgement.order:
        judged.candidate.high  # noqa: B018
    gc.freeze()


@contextmanager
def _uncollected() -> Iterator[None]:
    """A moment in which thousands of small things are made, none of them garbage: looking for some can wait."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is recommended under some goals, and how long judging took."""

    judgement: Judgement
    bench: Bench
    seconds: float


def look(session: Session, changes: Mapping[str, str]) -> Outlook:
    """Judge all candidates again under these goals; the session stays as it is.

    Raises:
        InvalidInput: a value that does not fit.
    """
    assert session.bench is not None
    start = time.perf_counter()
    scenario = stated(session, changes)
    bench = session.bench.under(session.bench.profile.updated(scenario_facts(scenario)), scenario)
    with _uncollected():
        judgement = bench.judgement
    return Outlook(judgement, bench, time.perf_counter() - start)


def lines(outlook: Outlook) -> list[str]:
    """The recommendation in a few lines."""
    judgement = outlook.judgement
    order, best = judgement.order, judgement.best
    found = []
    if best is None:
        found.append("Nothing keeps every limit.")
        nearest = next((j.candidate for j in order if j.prediction is not None), None)
        if nearest is not None:
            first = nearest.rejections[0]
            found.append(f"{nearest.name} would with: {first.admits}")
    else:
        c, e = best.candidate, best.candidate.estimate
        found += [
            f"Run {c.name}",
            f"{c.quality:.0f} points [{c.low:.0f}, {c.high:.0f}]",
            f"{shown(e.cost('serving_peak_bytes'), 'B')} memory · {shown(e.cost('latency_seconds'), 's')} an answer",
            f"{shown(e.cost('seconds'), 's')} to build · {shown(e.cost('bytes'), 'B')} to ship",
        ]
        other = next((j.candidate for j in judgement.kept if j.candidate.name != c.name), None)
        if other is not None:
            found.append(f"then {other.name}: {other.quality:.0f} points [{other.low:.0f}, {other.high:.0f}]")
    kept = len(judgement.kept)
    found.append(f"{kept} of {len(order)} candidates keep the limits")
    told = ", ".join(f"{limit} {count}" for limit, count in rejecting(judgement)[:4])
    if told:
        found.append(f"rejected by: {told}")
    return found
