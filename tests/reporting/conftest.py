"""What several tests of reports share."""

import pytest

from kistack.sweeping.attribution import Effect


def _effect(techniques, number, scale, value, *ends):
    low, high = ends or (None, None)
    return Effect(number, tuple(techniques), scale, value, low, high, 8, 8).to_json()


SWEEP = {
    "schema": 1,
    "metric": "contained",
    "attribution": {
        "effects": [
            _effect(["retrieve"], "quality", "points", 41.0, 36.5, 45.2),
            _effect(["distill"], "quality", "points", -0.9, -2.0, 0.4),
            _effect(["retrieve", "tune"], "quality", "points", 12.0, 6, 18),
            _effect(["quantize"], "latency_seconds", "ratio", 0.59, 0.56, 0.62),
            _effect(["tune"], "seconds", "seconds", 310.0),
        ],
        "notes": ["two combinations failed"],
    },
}


@pytest.fixture
def sweep():
    """The document of a sweep, as far as a report reads it."""
    return SWEEP
