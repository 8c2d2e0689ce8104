"""The combinations measured side by side: sweep, attribution, regret, and what becomes of them as facts change."""
