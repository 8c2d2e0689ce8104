"""What several tests of reports share."""

import pytest

SWEEP = {
    "schema": 1,
    "metric": "contained",
    "numbers": {
        "points": {"unit": "points", "lower_is_better": False},
        "latency_p50": {"unit": "%", "lower_is_better": True},
    },
    "effects": [
        {"techniques": ["retrieve"], "number": "points", "value": 41.0, "low": 36.5, "high": 45.2},
        {"techniques": ["distill"], "number": "points", "value": -0.9, "low": -2.0, "high": 0.4},
        {"techniques": ["retrieve", "tune"], "number": "points", "value": 12.0, "low": 6, "high": 18},
        {"techniques": ["quantize"], "number": "latency_p50", "value": -41.0, "low": -44, "high": -38},
    ],
}


@pytest.fixture
def sweep():
    """The effects that a sweep would tell."""
    return SWEEP
