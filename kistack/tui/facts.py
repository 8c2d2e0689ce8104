"""The facts of a profile as the wizard shows them: rows by section, which of them are the user's to say, how fresh."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kistack.domain.facts import Fact, Profile
from kistack.reporting.numbers import fact_text
from kistack.reporting.profiles import INTERNAL, SECTIONS

#: Facts that the user may state, with the key of the scenario that states them.
KEYS: Mapping[str, str] = {
    "scenario.task": "task.kind",
    "scenario.metric": "task.metric",
    "scenario.at_least": "task.at_least",
    "scenario.queries_per_day": "traffic.queries_per_day",
    "scenario.concurrency": "traffic.concurrency",
    "scenario.indifference": "indifference",
    "scenario.horizon_days": "horizon",
    "scenario.local_only": "limits.local_only",
    "scenario.limit_memory": "limits.memory",
    "scenario.limit_disk": "limits.disk",
    "scenario.limit_latency": "limits.latency_p95",
    "scenario.limit_training": "limits.training_time",
    "scenario.limit_money": "limits.money",
    "scenario.refresh_days": "upkeep.refresh_every",
    "scenario.retrain_days": "upkeep.retrain_every",
    "freshness.changed_per_day": "knowledge.changes",
    "freshness.half_life_days": "knowledge.changes",
    "freshness.source": "knowledge.changes",
    "model.reference": "models.base",
    "teacher.reference": "models.teacher",
    "embedder.reference": "models.embedder",
}
_DEVICE = {
    "ram_total": "ram",
    "ram_free": "ram_free",
    "disk_free": "disk",
    "cores": "cores",
    "bandwidth": "bandwidth",
    "flops_fp32": "flops_fp32",
    "flops_bf16": "flops_bf16",
    "flops_int8": "flops_int8",
    "gpus": "gpus",
    "gpu_free": "gpu_memory",
    "price_per_hour": "price_per_hour",
}
_MACHINES = {"serving": "serve_on", "hardware": "train_on"}

#: How a source is shown in one letter beside its word, so that it reads without colour.
MARKS = {"declared": "✎", "measured": "✓", "assumed": "?"}
#: The state in which a fact of no value is shown.
_LEAST_DATED = 5
_INTERVAL = re.compile(r"(\S+) to (\S+): ([\d.]+)%")


@dataclass(frozen=True, slots=True)
class FactRow:
    """A fact in a table: its full name, what is shown, and the key of the scenario that states it (empty: none)."""

    fact: str
    name: str
    value: str
    source: str
    why: str
    key: str = ""


def key_of(fact: str) -> str:
    """The key of the scenario that states this fact; empty where it is not the user's to say."""
    section, _, leaf = fact.partition(".")
    if section in _MACHINES and leaf in _DEVICE:
        return f"{_MACHINES[section]}.{_DEVICE[leaf]}"
    return KEYS.get(fact, "")


def sections(facts: Mapping[str, Fact]) -> list[tuple[str, list[FactRow]]]:
    """The facts that are known so far, by heading, in the order a reader asks for them."""
    profile = Profile(facts)
    others = sorted({n.partition(".")[0] for n in facts} - set(SECTIONS))
    found = []
    for section, heading in [*SECTIONS.items(), *((o, o) for o in others)]:
        rows = [
            FactRow(full, name, fact_text(f.value, f.unit), f.source, f.why, key_of(full))
            for name, f in profile.section(section).items()
            if name.rpartition(".")[2] not in INTERNAL
            for full in (f"{section}.{name}",)
        ]
        if rows:
            found.append((heading, rows))
    return found


def tally(facts: Mapping[str, Fact]) -> str:
    """How many facts there are of each source: ``40 measured, 12 declared, 9 assumed``."""
    counts = Counter(f.source for f in facts.values())
    return ", ".join(f"{counts[s]} {s}" for s in ("measured", "declared", "assumed") if counts[s])


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a plot of freshness shows: bars or a line, with labels of the horizontal axis."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    bars: bool
    what: str


def timeline(facts: Mapping[str, Fact], dates: Sequence[dt.date] = ()) -> Timeline | None:
    """What is known of how the documents change, best first.

    The share that changed between dated states where these were counted, else when the documents were last changed,
    else how much of them still holds after some time at the rate that is declared or assumed.
    """
    rate = facts.get("freshness.changed_per_day")
    if rate is None or not isinstance(rate.value, int | float):
        return None
    told = f"{fact_text(rate.value, '1/day')}, {rate.source}"
    counted = facts.get("freshness.intervals")
    found = _INTERVAL.findall(str(counted.value)) if counted is not None else []
    if found:
        return Timeline(
            f"Changed up to each date ({told})",
            tuple(after for _, after, _ in found),
            tuple(float(share) for _, _, share in found),
            bars=True,
            what="% of the pieces",
        )
    if len(dates) >= _LEAST_DATED:
        labels, values = _by_time(dates)
        return Timeline(f"Documents by their last change ({told})", labels, values, bars=True, what="documents")
    return _decay(float(rate.value), told)


def _by_time(dates: Sequence[dt.date]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Counts by month where the dates span up to two years, else by year."""
    monthly = (max(dates) - min(dates)).days <= 2 * 366
    counts = Counter(d.strftime("%Y-%m" if monthly else "%Y") for d in dates)
    labels = sorted(counts)
    return tuple(labels), tuple(float(counts[n]) for n in labels)


def _decay(rate: float, told: str) -> Timeline:
    half = math.log(2) / rate if rate > 0 else 0.0
    days = min(max(30.0, 3 * half), 3650.0) if rate > 0 else 365.0
    count = 24
    labels = tuple(f"{days * n / count:.0f}" for n in range(count + 1))
    values = tuple(100 * math.exp(-rate * days * n / count) for n in range(count + 1))
    return Timeline(f"Still as it is now ({told})", labels, values, bars=False, what="% after so many days")


@dataclass(slots=True)
class Branch:
    """A folder or file of the corpus: its name, bytes and files, and what lies in it, the largest first."""

    name: str
    size: int = 0
    files: int = 0
    inner: dict[str, Branch] | None = None

    @property
    def branches(self) -> list[Branch]:
        """What lies in it, the largest first."""
        return sorted((self.inner or {}).values(), key=lambda b: (-b.size, b.name))


def corpus_tree(name: str, files: Iterable[tuple[Sequence[str], int]]) -> Branch:
    """The tree of files given as the parts of their paths and their sizes."""
    root = Branch(name, inner={})
    for parts, size in files:
        node = root
        node.size += size
        node.files += 1
        for depth, part in enumerate(parts):
            last = depth == len(parts) - 1
            inner = node.inner if node.inner is not None else {}
            node.inner = inner
            node = inner.setdefault(part, Branch(part, inner=None if last else {}))
            node.size += size
            node.files += 1
    return root
