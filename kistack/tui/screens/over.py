"""What lies over a step is left once, however often it is told to be."""

from __future__ import annotations

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, ScreenResultType

from kistack.tui.screens.sizing import NewestSize


class Modal(NewestSize, ModalScreen[ScreenResultType]):
    """A small screen over a step.

    textual takes away whatever screen is in front when one is dismissed: a second escape that comes before the first
    is done would take the step, and leave nothing.
    """

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave with a result; nothing happens where it was left already, or something lies over it."""
        return super().dismiss(result) if self.app.screen is self else AwaitComplete()
