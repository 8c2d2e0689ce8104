"""Benches: how good the advice and its predictions are, against what was published or measured."""
