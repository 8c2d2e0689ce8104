"""Everything a sweep says, as one JSON document: the table, effects, regret, predictions, and what sharing saved."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from kistack.sweeping.attribution import attribution
from kistack.sweeping.foretelling import foretellings, summary
from kistack.sweeping.regret import regret
from kistack.sweeping.rows import SWEEP_SCHEMA, Combination, Row, Sweep


def sweep_document(sweep: Sweep) -> dict[str, Any]:
    """The sweep as JSON with stable keys; items are left out, they stand in the rows' files and runs."""
    effects, caveats = attribution(sweep)
    foretold = foretellings(sweep)
    return {
        "schema": SWEEP_SCHEMA,
        "sweep": sweep.sweep,
        "started": sweep.started,
        "status": sweep.status,
        "metric": sweep.metric,
        "order": sweep.rule,
        "baselines": baselines(sweep),
        "rows": [_row(c, sweep.rows.get(c.name)) for c in sweep.combinations],
        "attribution": {"effects": [e.to_json() for e in effects], "notes": caveats},
        "regret": regret(sweep).to_json(),
        "predicted_and_measured": {"numbers": [f.to_json() for f in foretold], "summary": summary(foretold)},
        "sharing": sharing(sweep),
        "limits": dict(sweep.limits),
        "notes": list(sweep.notes),
    }


def _row(one: Combination, row: Row | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": one.name,
        "techniques": list(one.techniques),
        "roles": list(one.roles),
        "plan": dict(one.plan),
        "predicted": dict(one.predicted),
        "rejections": list(one.rejections),
        "status": "waiting" if row is None else row.status,
    }
    if row is None:
        return document
    return {
        **document,
        "run": row.run,
        "error": row.error,
        "metrics": {name: asdict(m) for name, m in sorted(row.metrics.items())},
        "measured": dict(sorted(row.measured.items())),
        "unavailable": dict(row.unavailable),
        "spent": row.spent,
        "bundle": row.bundle,
    }


def baselines(sweep: Sweep) -> dict[str, Any]:
    """The deciding metric of the baselines, from the first row that has them."""
    for one in sweep.combinations:
        row = sweep.rows.get(one.name)
        if row is not None and row.beside:
            return {name: asdict(m) for name, m in row.beside.items()}
    return {}


def sharing(sweep: Sweep) -> dict[str, Any]:
    """What the steps took once each, against what they would have taken in every combination that needs them.

    ``repeated`` are steps that were made more than once although they are the same work: there should be none.
    """
    seconds: dict[str, float] = {}
    apart, asked = 0.0, 0
    made: Counter[str] = Counter()
    for row in sweep.rows.values():
        for work in row.work:
            if work.status in {"done", "reused"}:
                seconds[work.key] = max(seconds.get(work.key, 0.0), work.seconds)
                apart += work.seconds
                asked += 1
                made[work.key] += work.status == "done"
    together = sum(seconds.values())
    return {
        "distinct_steps": len(seconds),
        "asked_for": asked,
        "seconds": together,
        "seconds_apart": apart,
        "share": together / apart if apart else None,
        "repeated": sorted(key for key, times in made.items() if times > 1),
        "spent": sweep.spent,
    }
