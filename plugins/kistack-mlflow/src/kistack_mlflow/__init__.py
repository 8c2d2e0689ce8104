"""A tracker: what a run of kistack found, written into an MLflow store."""
