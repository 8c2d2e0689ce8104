"""The command palette, left while it is still looking: textual's own fails then."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.timer import Timer, TimerCallback

from kistack.tui.screens.sizing import NewestSize


class Palette(NewestSize, CommandPalette):
    """The palette of the wizard.

    What looks for commands goes on for a moment after the palette was left, when the list that it would fill is gone.
    The names overridden here are textual's own; where it knows them no more, nothing changes.
    """

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Leave once, as all that lies over a step (see ``kistack.tui.screens.over``)."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()

    def set_timer(self, delay: float, callback: TimerCallback | None = None, **options: Any) -> Timer:
        """A timer; what it is for is left undone where the list is gone by then."""

        def later() -> Any:
            return callback() if callback is not None and self._stands else None

        return super().set_timer(delay, later, **options)

    def _watch__list_visible(self) -> None:
        if self._stands:
            super()._watch__list_visible()

    async def _watch__show_busy(self) -> None:
        if self._stands:
            await super()._watch__show_busy()

    @property
    def _stands(self) -> bool:
        return self.is_attached and bool(self.query(CommandList))
