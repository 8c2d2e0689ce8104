"""A screen is laid out for the size the terminal has, not for one it had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.events import Resize
from textual.screen import Screen

if TYPE_CHECKING:
    from textual.app import App


class NewestSize:
    """Mixed into screens: a size that is out of date is left alone.

    A screen that is laid out for another size than before is told so by an event of its own. With two sizes under way
    at once, as while a border is dragged, each laying out sets off the next, and textual goes on with that for ever.
    """

    app: App[None]

    def on_resize(self, event: Resize) -> None:
        """Keep textual from laying the screen out where a newer size is known."""
        if event.size != self.app.size:
            event.stop()
            event.prevent_default()


class Ground(NewestSize, Screen[None]):
    """The empty screen that lies under all others."""
