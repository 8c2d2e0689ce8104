"""Benches: the advisor and its cost model held against published comparisons, measured costs and the ledger."""
