"""How much of what was learnt or indexed is still true over the horizon: weights against an index."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kistack.domain.facts import Profile
from kistack.reporting.blocks import Block, Figure, Heading, Paragraph, Table
from kistack.reporting.numbers import percent, significant
from kistack.reporting.plots.curves import Curve, curves

#: An index that is made again within this many seconds is taken to be refreshed daily, else weekly, as the advice does.
_QUICK = 3_600.0
#: With more refreshes than this a sawtooth is a grey bar: its mean is drawn.
_MOST_TEETH = 120
#: Times at which the table tells the shares, as parts of the horizon.
_TOLD = (0.0, 0.25, 0.5, 0.75, 1.0)


def freshness_blocks(profile: Profile, index_seconds: float = 0.0, note: str = "") -> list[Block]:
    """A part of a page: the plot with its table, or why there is none.

    Args:
        profile: the facts of the run.
        index_seconds: time to make the index again, where the plan has one.
        note: what the reader must know of these facts.
    """
    rate = profile.number("freshness.changed_per_day")
    heading = Heading("How long it stays true", anchor="freshness")
    if rate <= 0:
        return [heading, Paragraph("Nothing of these documents is known to change, so nothing becomes stale.")]
    made = kept_fresh(profile, index_seconds)
    horizon = max(1.0, profile.number("scenario.horizon_days", 90.0))
    bounds = [profile.number(f"freshness.changed_{end}", rate) for end in ("high", "low")]
    found = [_curve(f"{name} ({_every(days, horizon)})", rate, bounds, days, horizon) for name, days in made.items()]
    svg = curves(
        "Share of the content that is still true",
        ("days since it was built", "still true"),
        found,
        (lambda day: f"{day:.0f}", percent),
        ceiling=1.0,
    )
    rows = tuple(
        (f"{t * horizon:.0f}", *(percent(math.exp(-rate * _age(t * horizon, days))) for days in made.values()))
        for t in _TOLD
    )
    table = Table(("day", *made), rows, frozenset(range(len(made) + 1)), "just before what is due on that day")
    fact = profile["freshness.changed_per_day"]
    caption = f"{significant(100 * rate)} % of the content changes a day ({fact.source}: {fact.why}). {note}".strip()
    return [heading, Figure("Share of the content that is still true", svg, table, caption)]


def kept_fresh(profile: Profile, index_seconds: float = 0.0) -> dict[str, float]:
    """After how many days weights and index are made again; infinite where they are not."""
    usual = 1.0 if index_seconds <= _QUICK else 7.0
    return {
        "weights": profile.number("scenario.retrain_days") or math.inf,
        "index": profile.number("scenario.refresh_days") or usual,
    }


def freshness_document(profile: Profile, index_seconds: float = 0.0) -> dict[str, Any]:
    """The same for programs: ``weights`` and ``index`` with ``every_days`` (null: not made again)."""
    rate = profile.number("freshness.changed_per_day")
    horizon = max(1.0, profile.number("scenario.horizon_days", 90.0))
    made = {
        name: {
            "every_days": days if math.isfinite(days) else None,
            "oldest_share_true": math.exp(-rate * min(days, horizon)),
        }
        for name, days in kept_fresh(profile, index_seconds).items()
    }
    return {"changed_per_day": rate, "horizon_days": horizon, **made}


def _age(day: float, every: float) -> float:
    """Days since it was last made, just before what is due on ``day``."""
    if day <= 0:
        return 0.0
    rest = math.fmod(day, every) if math.isfinite(every) else day
    return rest or every


def _every(days: float, horizon: float) -> str:
    if days >= horizon:
        return "not made again"
    return "made again daily" if days == 1 else f"made again every {significant(days)} days"


def _curve(name: str, rate: float, bounds: Sequence[float], every: float, horizon: float) -> Curve:
    """A sawtooth from 1 down and back at each remaking, or its mean where there are too many teeth."""
    if horizon / every > _MOST_TEETH:
        shares = [_mean(h, every) for h in (rate, *bounds)]
        days = [0.0, horizon]
        return Curve(name, [(d, shares[0]) for d in days], [(shares[1], shares[2]) for _ in days])
    ages = [(n * horizon / 240, _age(n * horizon / 240, every)) for n in range(241)]
    for tooth in range(1, math.ceil(horizon / every)):
        ages += [(tooth * every, every), (tooth * every, 0.0)]
    ages.sort(key=lambda a: (a[0], -a[1]))
    return Curve(
        name,
        [(day, math.exp(-rate * age)) for day, age in ages],
        [(math.exp(-bounds[0] * age), math.exp(-bounds[1] * age)) for _, age in ages],
    )


def _mean(rate: float, days: float) -> float:
    x = rate * days
    return 1.0 if x <= 0 else -math.expm1(-x) / x
