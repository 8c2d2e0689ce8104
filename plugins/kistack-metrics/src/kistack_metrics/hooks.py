"""Registers the evaluators."""

from __future__ import annotations

from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Stage
from kistack_metrics.abstention_stage import EvaluateAbstention
from kistack_metrics.answer_stage import EvaluateAnswers
from kistack_metrics.entailment_stage import EvaluateEntailment
from kistack_metrics.faithfulness_stage import EvaluateFaithfulness
from kistack_metrics.format_stage import EvaluateFormat
from kistack_metrics.judge_stage import EvaluateJudge
from kistack_metrics.perplexity_stage import EvaluatePerplexity
from kistack_metrics.retrieval_stage import EvaluateRetrieval
from kistack_metrics.speed_stage import EvaluateSpeed


@hookimpl
def kistack_register_evaluators() -> list[type[Stage]]:
    """Six that run by themselves; form, entailment and a judge only where a plan names them."""
    return [
        EvaluateAnswers,
        EvaluateRetrieval,
        EvaluateFaithfulness,
        EvaluateAbstention,
        EvaluateSpeed,
        EvaluatePerplexity,
        EvaluateFormat,
        EvaluateEntailment,
        EvaluateJudge,
    ]
