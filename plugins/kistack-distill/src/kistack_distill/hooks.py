"""What this plugin registers."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_distill.response import ResponseDistiller
from kistack_distill.signals import TopKSignals


@hookimpl
def kistack_register_distillers() -> list[type[Stage]]:
    """Response-based distillation."""
    return [ResponseDistiller]


@hookimpl
def kistack_register_stages() -> list[type[Stage]]:
    """Recording what a teacher says."""
    return [TopKSignals]
