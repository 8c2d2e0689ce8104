"""The form of a step's settings: a row for each, with help, range, default, and what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, Select, Static

from kistack.tui.forms import FormField


class SettingRow(Vertical):
    """One setting.

    Args:
        field: what it is and its value.
        step: the step it belongs to, told with each change.
    """

    DEFAULT_CSS = """
    SettingRow { height: auto; margin-bottom: 1; }
    SettingRow > .name { text-style: bold; }
    SettingRow > .fault { color: $error; text-style: bold; display: none; }
    SettingRow.-faulty > .fault { display: block; }
    SettingRow Input { width: 100%; background: $panel; }
    SettingRow Select { width: 100%; }
    """

    class Changed(Message):
        """The user has entered another value."""

        def __init__(self, row: SettingRow, value: Any) -> None:
            super().__init__()
            self.row = row
            self.value = value

    def __init__(self, field: FormField, step: int) -> None:
        super().__init__()
        self.field = field
        self.step = step
        self._shown: Any = field.value if field.control == "switch" else field.text

    def compose(self) -> ComposeResult:
        """Name, control, help, fault."""
        field = self.field
        if field.control == "switch":
            yield Checkbox(Content(field.label), bool(field.value), compact=True)
        else:
            yield Static(Content(field.label), classes="name")
            if field.control == "select" and field.text in field.choices:
                options = [(choice, choice) for choice in field.choices]
                yield Select(options, value=field.text, allow_blank=False, compact=True)
            else:
                yield Input(field.text, placeholder=field.default, compact=True)
        yield Static(Content(field.note), classes="note")
        yield Static("", classes="fault")

    def tell(self, fault: str) -> None:
        """Show what is wrong with the value; nothing where it is empty."""
        self.set_class(bool(fault), "-faulty")
        self.query_one(".fault", Static).update(Content(fault))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass a text on."""
        event.stop()
        self._pass(event.value, self.field.read(event.value))

    def on_select_changed(self, event: Select.Changed) -> None:
        """Pass a choice on."""
        event.stop()
        self._pass(event.value, self.field.read(str(event.value)))

    def on_checkbox_changed(self, event: Checkbox.Changed) -> None:
        """Pass a switch on."""
        event.stop()
        self._pass(event.value, event.value)

    def _pass(self, shown: Any, value: Any) -> None:
        # Controls tell their first value too, which nobody has entered.
        if shown != self._shown:
            self._shown = shown
            self.post_message(self.Changed(self, value))


class SettingsForm(VerticalScroll):
    """Rows for the settings of one step; posts ``SettingRow.Changed``."""

    DEFAULT_CSS = """
    SettingsForm { padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        # Keys are handled by the app and the cursor by the screen: both may ask for another step at once.
        self._turn = asyncio.Lock()

    async def show(self, title: str, summary: str, fields: Sequence[FormField], step: int) -> None:
        """Show the settings of a step in the place of what was shown."""
        head = [Static(Content(title), classes="heading")]
        if summary:
            head.append(Static(Content(summary), classes="note"))
        if not fields:
            head.append(Static("It has no settings.", classes="note"))
        async with self._turn:
            await self.remove_children()
            await self.mount_all([*head, *(SettingRow(field, step) for field in fields)])
        self.scroll_home(animate=False)
