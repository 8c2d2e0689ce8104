"""What a check is, what it may find, and the report of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kistack.testing.subject import Subject

Status = Literal["passed", "failed", "expected", "skipped"]


class Fault(Exception):
    """What a check finds wrong: one line that says what, one that says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Skip(Exception):
    """A check that says nothing about this stage; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One demand. ``kinds`` are the kinds of stages that it is made on; none: all of them."""

    name: str
    demand: str
    run: Callable[[Subject], None]
    kinds: tuple[str, ...] = ()

    @property
    def explanation(self) -> str:
        """What it does, and why it is demanded."""
        return " ".join((self.run.__doc__ or "").split())


#: All checks by name, in the order in which they run.
CHECKS: dict[str, Check] = {}


def check(name: str, demand: str, *kinds: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a check: ``demand`` completes the sentence "a stage …"."""

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        if name in CHECKS:
            raise ValueError(f"two checks are named {name}")
        CHECKS[name] = Check(name, demand, function, kinds)
        return function

    return add


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check."""

    check: Check
    status: Status
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all checks of one stage; ``str()`` tells the failed ones."""

    stage: str
    results: tuple[Result, ...]

    def of(self, status: Status) -> tuple[Result, ...]:
        """The results of one status."""
        return tuple(r for r in self.results if r.status == status)

    @property
    def unsaid(self) -> tuple[Result, ...]:
        """Checks made on stages of its kind that could say nothing about this one; each says why."""
        kind = self.stage.partition("/")[0]
        return tuple(r for r in self.of("skipped") if not r.check.kinds or kind in r.check.kinds)

    def __str__(self) -> str:
        failed = self.of("failed")
        head = f"{self.stage}: {len(failed)} of {len(self.results)} checks failed"
        return "\n".join([head, *(_told(r) for r in failed)]) if failed else f"{self.stage}: {self._counts()}"

    def _counts(self) -> str:
        statuses: tuple[Status, ...] = ("passed", "expected", "skipped")
        counts = {s: len(self.of(s)) for s in statuses}
        told = ", ".join(f"{n} {s}" for s, n in counts.items() if n)
        return told + "".join(f"\n  {r.check.name} says nothing: {r.message}" for r in self.unsaid)


def _told(result: Result) -> str:
    lines = [f"  {result.check.name}: {result.message}", f"    demanded: a stage {result.check.demand}"]
    return "\n".join([*lines, f"    remedy: {result.remedy}"] if result.remedy else lines)


class ConformanceError(AssertionError):
    """A stage does not conform; ``report`` has every result."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report
