"""The terminal wizard: the only place that imports textual. All it does is a file or a call that works without it."""
