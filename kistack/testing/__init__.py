"""Public fixtures for plugin authors: run a stage without a project, a store or a worker."""

from kistack.testing.context import LocalContext, run_stage

__all__ = ["LocalContext", "run_stage"]
