"""Help over a screen: what it is for, and every key that does something there."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from kistack.tui.screens.over import Modal


class HelpScreen(Modal[None]):
    """What a screen is for and its keys; any of escape, enter, q, ? and f1 closes it.

    Args:
        title: the screen's title.
        text: what it is for.
        keys: keys with what they do.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark,f1", "dismiss(None)", "Close"),
    ]

    def __init__(self, title: str, text: str, keys: list[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._keys = keys

    def compose(self) -> ComposeResult:
        """The text above the keys."""
        width = max((len(key) for key, _ in self._keys), default=0)
        keys = "\n".join(f"{key.ljust(width)}  {told}" for key, told in self._keys)
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help: {self._title}"
            box.border_subtitle = "escape closes"
            yield Static(Content(self._text.strip()))
            yield Static(Content("\nKeys"), classes="heading")
            yield Static(Content(keys))
