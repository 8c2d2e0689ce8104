"""Evaluators: they turn answers, speeds and models into scores with intervals."""
