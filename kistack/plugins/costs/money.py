"""Money of a run: hours of a machine, or tokens of a service."""

from __future__ import annotations

from kistack.plugins.costs.machines import Machine

_HOUR = 3600.0
_MILLION = 1e6


def machine_dollars(seconds: float, m: Machine) -> float:
    """US dollars for ``seconds`` of a machine at its hourly price; 0 where nobody charges for it."""
    return m.price_per_hour * seconds / _HOUR


def token_dollars(prompt_tokens: float, new_tokens: float, prompt_price: float, new_price: float) -> float:
    """US dollars for tokens read and written by a service; prices are per million tokens, as services state them."""
    return (prompt_tokens * prompt_price + new_tokens * new_price) / _MILLION
