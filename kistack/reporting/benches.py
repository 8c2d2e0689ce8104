"""The pages of benches."""

from __future__ import annotations

import math

from kistack.advisor.bench.calibration import LEAST_RUNS, STATED, CalibrationBench, Coverage
from kistack.domain.calibration import PRIORS
from kistack.reporting.blocks import Block, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, percent


def calibration_page(bench: CalibrationBench) -> Page:
    """Coverage of the stated intervals and median errors, by kind of number."""
    page: list[Block] = [Heading("Calibration", 1)]
    if bench.runs < LEAST_RUNS:
        said = f"{bench.runs} run{'' if bench.runs == 1 else 's'} in the ledger"
        page.append(Paragraph(f"Too few runs to judge intervals by: {said}, {LEAST_RUNS} are the least."))
    columns = (
        "number",
        "runs",
        "measured",
        f"in the {100 * STATED:.0f} % interval",
        "median error, raw",
        "calibrated",
        "verdict",
    )
    caption = (
        "each run predicted from the others; errors as factors (of quality in points): 1.25x is measured 25 % above "
        "or a fifth below what was predicted"
    )
    page.append(Table(columns, tuple(_row(c) for c in bench.kinds), frozenset(range(1, 6)), caption))
    return page


def _row(c: Coverage) -> tuple[str, ...]:
    covered = DASH if c.covered is None else percent(c.covered)
    errors = (_error(c, c.raw), _error(c, c.calibrated))
    return (c.kind, str(c.runs), str(c.observations), covered, *errors, "" if c.enough else "too few runs")


def _error(c: Coverage, value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.1f}" if PRIORS[c.kind].points else f"{math.exp(value):.2f}x"
