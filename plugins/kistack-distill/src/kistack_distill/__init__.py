"""Students taught by their teacher's token distributions."""
