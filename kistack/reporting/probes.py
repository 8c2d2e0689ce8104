"""The page of a probe: its shares with their intervals, and what could not be asked."""

from __future__ import annotations

from kistack.evaluation.probes import SHARES, Probe
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Table
from kistack.reporting.numbers import percent


def probe_page(probe: Probe) -> Page:
    """Every share, and why others are missing."""
    rows = tuple(
        (name.replace("_", " "), percent(s.value), f"{percent(s.low)} to {percent(s.high)}", str(s.count), SHARES[name])
        for name, s in probe.shares.items()
    )
    page: list[Block] = [
        Heading("Probe", 1),
        Table(("share", "value", "95 % interval", "of pairs", "of the training pairs asked"), rows, frozenset({1, 3})),
    ]
    if probe.missing:
        page.append(Bullets(tuple(f"no share {SHARES[name]}: {reason}" for name, reason in probe.missing.items())))
    return page
