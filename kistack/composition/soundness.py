"""What stages state of themselves must be numbers: one that is none would spoil every sum and comparison after it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kistack.domain.records import Estimate
from kistack.plugins.host import Host


def checked(host: Host, name: str, what: str, call: Callable[[], Any]) -> Estimate:
    """The answer of a stage's ``estimate`` or ``serving``.

    Raises:
        PluginError: it raised, answered something else than an estimate, or stated a number that is none.

    """
    found = host.guard(name, what, call)
    fault = _fault(found)
    if fault:
        raise host.fault(name, what, fault)
    assert isinstance(found, Estimate)
    return found


def _fault(found: Any) -> str:
    if not isinstance(found, Estimate):
        return f"returned {type(found).__name__}, not an Estimate"
    for cost, value in found.costs.items():
        if not _is_number(value):
            return f"says {cost} = {value!r}, which is no finite number"
    for out, facts in found.facts.items():
        for fact, value in facts.items():
            if not _is_number(value):
                return f"says {out}.{fact} = {value!r}, which is no finite number"
    return ""


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except TypeError:
        return False
