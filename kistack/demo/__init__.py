"""The embedded demo, *release desk*: facts that change, questions about them, and models that run anywhere."""
