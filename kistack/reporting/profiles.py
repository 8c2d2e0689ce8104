"""The page of a profile: every fact with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kistack.domain.devices import Preset
from kistack.domain.facts import Profile
from kistack.reporting.blocks import Block, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, fact_text

#: Sections in the order a reader asks for them, with their headings.
SECTIONS = {
    "scenario": "What is asked",
    "hardware": "The machine that trains",
    "serving": "The machine that serves",
    "corpus": "The documents",
    "freshness": "How fresh they must be kept",
    "pairs": "The labelled pairs",
    "probe": "What the base model answers of them",
    "model": "The base model",
    "teacher": "The teacher",
    "embedder": "The embedder",
}
#: Facts that only programs read.
_INTERNAL = frozenset({"identity", "fingerprint", "vocabulary", "settings"})


def profile_page(profile: Profile, *, brief: bool = False) -> Page:
    """All facts by section; ``brief`` leaves out how each came about."""
    page: list[Block] = [Heading("Profile", 1)]
    others = sorted({n.partition(".")[0] for n in profile} - set(SECTIONS))
    for section, heading in [*SECTIONS.items(), *((o, o) for o in others)]:
        facts = profile.section(section)
        if section == "serving" and _same_machine(profile):
            continue
        rows = [
            (name, fact_text(fact.value, fact.unit), fact.source) + (() if brief else (fact.why,))
            for name, fact in facts.items()
            if name.rpartition(".")[2] not in _INTERNAL and not (brief and fact.value in {None, ""})
        ]
        if rows:
            columns = ("fact", "value", "source") + (() if brief else ("why",))
            page += [Heading(heading), Table(columns, tuple(rows), frozenset({1}))]
    return page


def _same_machine(profile: Profile) -> bool:
    here = profile.section("hardware")
    there = profile.section("serving")
    return all(there[n].value == f.value for n, f in here.items() if n in there)


def targets_page(presets: Mapping[str, Preset]) -> Page:
    """The machines known by name."""
    rows = tuple(
        (
            preset.key,
            preset.title,
            fact_text(preset.gpu_free or preset.ram_free, "B"),
            fact_text(preset.bandwidth, "B/s"),
            fact_text(preset.flops_bf16, "FLOP/s"),
            f"${preset.price_per_hour:.2f}" if preset.price_per_hour else DASH,
        )
        for preset in presets.values()
    )
    columns = ("name", "machine", "free for a model", "bandwidth", "bf16", "an hour")
    use = "Use one as train_on or serve_on of a scenario, or with --target; state over it what differs."
    return [Heading("Machines by name", 1), Table(columns, rows, frozenset({2, 3, 4, 5})), Paragraph(use)]


def targets_document(presets: Mapping[str, Preset]) -> dict[str, Any]:
    """The same for programs: ``{schema, targets: [{key, title, …, sources}]}``."""
    return {"schema": 1, "targets": [asdict(preset) for preset in presets.values()]}
