"""Scores of systems, their intervals, and systems compared item by item."""
