"""The page of the scored cost model: errors by kind, verdicts on fitting, every row."""

from __future__ import annotations

from statistics import median

from kistack.advisor.bench.costs import PEAKS, ROOM, CostScores, Scored
from kistack.reporting.blocks import Block, Bullets, Heading, Page, Paragraph, Table
from kistack.reporting.numbers import DASH, percent, shown, significant

_BYTES = frozenset({"file_size", "linear_weight_bytes", "kv_cache"}) | PEAKS
_UNITS = {**dict.fromkeys(_BYTES, "B"), "achieved_bandwidth": "B/s", "latency": "s"}
#: Kinds that are told by the logarithm of the ratio rather than by relative error.
_SPEEDS = ("decode", "prefill", "train_speed", "achieved_bandwidth", "latency")


def costs_page(scores: CostScores) -> Page:
    """Figures by kind first, then what is wrong or left out, then the rows."""
    page: list[Block] = [Heading("Cost model against published measurements", 1), _summary(scores)]
    if scores.taus:
        page.append(Paragraph("Order of speeds (Kendall's tau) within one model and device:"))
        page.append(Bullets(tuple(f"{name}: {tau:.2f}" for name, tau in scores.taus.items())))
    page.append(Paragraph(_fits(scores)))
    wrong = [f"called fitting: {j.case.model}, {j.case.config} on {j.case.hardware}" for j in scores.cases if j.fits]
    wrong += [f"refused: {r.row.model}, {r.row.config}, {r.row.hardware}" for r in scores.refused]
    if wrong:
        page.append(Bullets(tuple(wrong)))
    columns = ("kind", "model", "conditions", "measured", "predicted", "error")
    page += [Heading("Rows"), Table(columns, tuple(_row(r) for r in scores.rows if r.counts), frozenset({3, 4, 5}))]
    left_out = tuple(f"{r.row.kind}, {r.row.model}, {r.row.words}: {r.reason}" for r in scores.rows if not r.counts)
    if left_out:
        page += [Heading("Not scored"), Bullets(left_out)]
    return page


def _summary(scores: CostScores) -> Table:
    document = scores.to_json()
    rows = []
    for name, kinds in (("file_size", ("file_size",)), ("peak_memory", tuple(sorted(PEAKS)))):
        errors = document[name]
        if errors["rows"]:
            told = (percent(errors["median"]), percent(errors["worst"]))
            rows.append((f"{name} ({', '.join(kinds)})", str(errors["rows"]), *told))
    for kind in _SPEEDS:
        found = [abs(r.log_ratio) for r in scores.of(kind)]
        if found:
            rows.append(
                (
                    f"{kind}, |ln ratio|",
                    str(len(found)),
                    significant(median(found), 2),
                    significant(max(found), 2),
                )
            )
    return Table(("kind", "rows", "median", "worst"), tuple(rows), frozenset({1, 2, 3}))


def _fits(scores: CostScores) -> str:
    return (
        f"{scores.false_fits} false verdicts on fitting: {sum(j.fits for j in scores.cases)} of {len(scores.cases)} "
        f"cases that ran out of memory are called fitting, {len(scores.refused)} of {len(scores.of(*PEAKS))} measured "
        f"peaks are refused at {ROOM} times their size."
    )


def _row(r: Scored) -> tuple[str, ...]:
    kind, predicted = r.row.kind, r.predicted
    unit = _UNITS.get(kind, "1/s")
    error = f"{100 * r.error:+.1f} %"
    values = (r.measured, predicted if predicted is not None else float("nan"))
    measured, found = (_shown(v, unit) for v in values)
    return kind, r.row.model, r.row.words, measured, found, error if r.counts else DASH


def _shown(value: float, unit: str) -> str:
    return shown(value, "B") + "/s" if unit == "B/s" else shown(value, unit)
