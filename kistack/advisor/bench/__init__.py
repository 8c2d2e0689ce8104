"""Proof: what kistack predicts and advises, scored on published measurements and comparisons."""
