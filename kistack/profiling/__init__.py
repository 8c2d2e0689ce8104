"""The facts that a scenario meets: hardware, corpus, freshness, pairs and models, each with its source."""
