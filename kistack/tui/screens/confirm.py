"""A question that is answered with yes or no."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from kistack.tui.screens.over import Modal


class ConfirmModal(Modal[bool]):
    """True where the user agrees.

    Args:
        title: what it is about.
        text: what would happen.
        yes: the button that agrees.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("escape,n", "dismiss(False)", "No"),
    ]

    def __init__(self, title: str, text: str, yes: str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The text above two buttons."""
        with VerticalScroll(classes="modal") as box:
            box.border_title = self._title
            box.border_subtitle = "y agrees · escape leaves"
            yield Static(Content(self._text))
            with Horizontal(classes="buttons"):
                yield Button(self._yes, variant="primary", id="yes", compact=True)
                yield Button("Leave it", id="no", compact=True)

    def on_mount(self) -> None:
        """Begin with the harmless one."""
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Return the answer."""
        self.dismiss(event.button.id == "yes")
