"""What plans of one scenario share while they are composed: nodes, what a plan's first steps leave, what serves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from kistack.composition.pipeline import Source


class Memo:
    """Values by mark; a mark names all that a value was made of within one profile, host and calibration."""

    def __init__(self) -> None:
        self._values: dict[Any, Any] = {}

    def find(self, mark: Any) -> Any | None:
        """What was kept under a mark; None where nothing was, and then ``keep`` is to follow once it is made."""
        return self._values.get(mark)

    def keep(
        self,
        mark: Any,
        value: Any,
        *,
        made: Collection[str] = (),
        known: Iterable[str] = (),
        after: Iterable[Source] = (),
    ) -> None:
        """Keep a value.

        Args:
            mark: what it is found by.
            value: not None; whoever finds it must not change it.
            made: the keys of the nodes that were made with it and that it brings.
            known: the keys of nodes that it brings and that were kept by themselves.
            after: what it was made from and nobody has looked at since ``find``.
        """
        self._values[mark] = value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
