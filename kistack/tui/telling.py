"""What the wizard tells of a recommendation in lines of text, and plans written to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kistack.advisor.changes import WhatIf, split_changes
from kistack.domain.planfile import dump_plan
from kistack.errors import InputError
from kistack.reporting.advice import advice_page
from kistack.reporting.blocks import Bullets, Heading, Paragraph
from kistack.reporting.numbers import shown, with_range
from kistack.reporting.sensitivity import flip_blocks, sureness
from kistack.reporting.terminal import as_text
from kistack.storage.files import storing, write_atomic

if TYPE_CHECKING:
    from kistack.domain.advice import Recommendation
    from kistack.domain.facts import Profile
    from kistack.domain.plan import Plan
    from kistack.domain.scenario import Scenario
    from kistack.tui.board import Row

PLAN_FILE = "plan.yaml"
_WIDEST = 110
#: Parts of the page of a recommendation that answer a what-if; the tables stand on the screen anyway.
_ANSWERING = frozenset({"Recommendation", "What if", "Why", "What would change it"})


def reason_lines(row: Row) -> list[str]:
    """Why a row stands where it stands: what rejects it, its numbers, every reason with its sources."""
    c, e = row.candidate, row.candidate.estimate
    judged = f"best of {row.settings} settings" if row.settings > 1 else "one setting"
    found = [f"{c.name} ({judged})"]
    found += [f"✗ {r.limit}: needs {r.needs}, has {r.allowed}. {r.admits}" for r in c.rejections]
    if not row.known:
        return found
    found += [f"{step.use} {_settings(step.with_)}".rstrip() for step in c.plan.steps]
    found.append(f"{c.quality:.1f} points, {c.low:.0f} to {c.high:.0f} at 80 %")
    for name, unit, what in (("serving_peak_bytes", "B", "memory"), ("latency_seconds", "s", "an answer"),
                             ("seconds", "s", "to build")):  # fmt: skip
        found.append(f"{with_range(e.cost(name), e.interval(name), unit)} {what}")
    found.append(f"{shown(e.cost('bytes'), 'B')} to ship, {shown(e.cost('money'), 'USD')}")
    for reason in sorted(c.reasons, key=lambda r: -abs(r.points)):
        points = f"{reason.points:+.1f}  " if reason.points else ""
        sources = f" ({'; '.join(reason.sources)})" if reason.sources else ""
        found.append(f"• {points}{reason.because}{sources}")
    return found


def _settings(values: object) -> str:
    items = dict(values) if isinstance(values, dict) else {}
    return ", ".join(f"{name} {value}" for name, value in items.items())


def flip_lines(advice: Recommendation) -> list[str]:
    """How sure the choice is, and what would change it."""
    found = ["What would change it"]
    sure = sureness(advice) if advice.kept else ""
    if sure:
        found.append(sure)
    for block in flip_blocks(advice):
        match block:
            case Bullets(items):
                found += [f"• {item}" for item in items]
            case Paragraph(text):
                found.append(text)
    found += [f"note: {note}" for note in advice.notes]
    return found


def changes_of(text: str, scenario: Scenario, profile: Profile) -> dict[str, str]:
    """The changes of a what-if, one KEY=VALUE a line.

    Raises:
        InputError: there is none.
        InvalidInput: a line is none, a key is unknown, or a value does not fit.
    """
    changes = split_changes(line for line in text.splitlines() if line.strip())
    if not changes:
        raise InputError("nothing is changed", "write a change such as limits.memory=2GiB")
    WhatIf(changes, scenario, profile)
    return changes


def what_if_text(advice: Recommendation, width: int = _WIDEST) -> str:
    """The answer to a what-if as text."""
    page, wanted = [], True
    for block in advice_page(advice):
        if isinstance(block, Heading):
            wanted = block.text in _ANSWERING
        if wanted:
            page.append(block)
    return as_text(page, max(30, min(width, _WIDEST)))


def free_name(folder: Path) -> str:
    """``plan.yaml``, or the first of ``plan-2.yaml``, … that is not there."""
    stem, dot, ending = PLAN_FILE.partition(".")
    name, number = PLAN_FILE, 2
    while (folder / name).exists():
        name, number = f"{stem}-{number}{dot}{ending}", number + 1
    return name


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan to a file that is not there yet.

    Raises:
        InputError: a file is there, or its folder is not.
        StoreError: it cannot be written.
    """
    if path.exists():
        raise InputError(f"{path} exists already", "choose another name: the wizard overwrites no file of yours")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent} is not a folder", "make it first, or choose another one")
    with storing(path, "writing the plan"):
        write_atomic(path, dump_plan(plan))
