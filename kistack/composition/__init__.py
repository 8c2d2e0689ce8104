"""Plan and profile become a pipeline: stages resolved, kinds and order checked, estimates folded."""
