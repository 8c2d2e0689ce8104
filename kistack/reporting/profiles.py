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
INTERNAL = frozenset({"identity", "fingerprint", "vocabulary", "settings"})


def profile_page(profile: Profile, *, brief: bool = False) -> Page:
    """All facts by section; ``brief`` leaves out how each came about."""
    page: list[Block] = [Heading("Profile", 1)]
    others = sorted({n.partition(".")[0] for n in profile} - set(SECTIONS) - {"part"})
    for section, heading in [*SECTIONS.items(), *((o, o) for o in others)]:
        facts = profile.section(section)
        if section == "serving" and _same_machine(profile):
            continue
        rows = [
            (name, fact_text(fact.value, fact.unit), fact.source) + (() if brief else (fact.why,))
            for name, fact in facts.items()
            if name.rpartition(".")[2] not in INTERNAL and not (brief and fact.value in {None, ""})
        ]
        if rows:
            columns = ("fact", "value", "source") + (() if brief else ("why",))
            page += [Heading(heading), Table(columns, tuple(rows), frozenset({1}))]
        if section == "freshness":
            page += _parts(profile)
    return page


def _parts(profile: Profile) -> list[Block]:
    """A table of the parts of the corpus, and of folders whose rates are clearly apart."""
    facts = profile.section("part")
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in facts))
    if not names:
        return []

    def cell(name: str, fact: str) -> str:
        found = facts.get(f"{name}.{fact}")
        return DASH if found is None else fact_text(found.value, found.unit)

    rows = []
    for name in names:
        rate = facts.get(f"{name}.changed_per_day")
        marks = [m for m in ("erasable", "per_user_access") if (f := facts.get(f"{name}.{m}")) is not None and f.value]
        bounds = f"{cell(name, 'changed_low')} to {cell(name, 'changed_high')}"
        told = () if rate is None else (rate.why.partition(":")[0],)
        rows.append(
            (
                name,
                *(cell(name, n) for n in ("documents", "tokens", "bytes", "changed_per_day")),
                DASH if rate is None else bounds,
                cell(name, "half_life_days"),
                cell(name, "train_pairs"),
                ", ".join((*told, *(m.replace("_", " ") for m in marks))) or DASH,
            )
        )
    columns = ("part", "documents", "tokens", "size", "changes", "95 %", "half-life", "pairs", "known from, marks")
    page: list[Block] = [Heading("The documents by part"), Table(columns, tuple(rows), frozenset(range(1, 8)))]
    if any("/" in name for name in names):
        hint = "Folders (part/folder) that change at clearly different rates can be placed apart once each is a part"
        page.append(Paragraph(f"{hint} of its own in knowledge.corpus."))
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
