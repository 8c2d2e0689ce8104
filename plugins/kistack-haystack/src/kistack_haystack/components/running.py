"""Running a pipeline of Haystack."""

from __future__ import annotations

from typing import Any

from haystack import Pipeline
from haystack.core.errors import PipelineRuntimeError

from kistack.errors import KistackError


def run_pipeline(pipeline: Pipeline, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a pipeline returns. kistack's own errors come through as they are; Haystack wraps whatever is raised."""
    try:
        found: dict[str, Any] = pipeline.run(inputs)
    except PipelineRuntimeError as error:
        if isinstance(error.__cause__, KistackError):
            raise error.__cause__ from error
        raise
    return found
