"""Bundles: what a run leaves for deployment, and the run that leaves it."""
