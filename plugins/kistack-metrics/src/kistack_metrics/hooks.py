"""Registers the evaluators."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_metrics.answer_stage import EvaluateAnswers
from kistack_metrics.perplexity_stage import EvaluatePerplexity
from kistack_metrics.retrieval_stage import EvaluateRetrieval
from kistack_metrics.speed_stage import EvaluateSpeed


@hookimpl
def kistack_register_evaluators() -> list[type[Stage]]:
    """Four evaluators: texts, passages, timings, probabilities."""
    return [EvaluateAnswers, EvaluateRetrieval, EvaluateSpeed, EvaluatePerplexity]
