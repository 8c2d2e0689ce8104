"""Runs the steps of a pipeline, each in a worker process, and tells what happens as events."""
