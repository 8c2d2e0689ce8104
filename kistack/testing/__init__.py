"""Public tools of plugin authors: does a stage keep the contract, and tiny inputs to try it on.

``check_stage`` makes every demand of the contract on a stage. ``run_stage`` runs one without a project, a store or a
worker. ``kistack.testing.fixtures`` is a pytest plugin with tiny models, documents and pairs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kistack.testing.conformance import check_stage, stages_of
    from kistack.testing.context import LocalContext, run_stage
    from kistack.testing.findings import CHECKS, ConformanceError, Report

__all__ = ["CHECKS", "ConformanceError", "LocalContext", "Report", "check_stage", "run_stage", "stages_of"]

_HOMES = {
    "CHECKS": "kistack.testing.conformance",
    "ConformanceError": "kistack.testing.findings",
    "LocalContext": "kistack.testing.context",
    "Report": "kistack.testing.findings",
    "check_stage": "kistack.testing.conformance",
    "run_stage": "kistack.testing.context",
    "stages_of": "kistack.testing.conformance",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kistack.testing' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
