"""Profile and installed stages become a recommendation: candidates, limits, quality, choice, each with reasons."""
