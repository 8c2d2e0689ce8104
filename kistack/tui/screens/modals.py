"""Small screens over a step: a form, a choice of machine, some lines of text, a page. Each returns a typed value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from kistack.errors import KistackError
from kistack.tui.screens.over import Modal

Values = dict[str, str]
Check = Callable[[Mapping[str, str]], object]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form."""

    name: str
    label: str
    value: str = ""
    hint: str = ""


def _problem(error: KistackError) -> Content:
    return Content(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))


class FormModal(Modal[Values | None]):
    """A form: its values once they pass the check, None when it is left.

    Args:
        title: what it is about.
        fields: what is asked.
        check: raises KistackError where the values do not fit; told in the form.
        note: a line above the fields.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave"),
        Binding("ctrl+s", "take", "Take"),
    ]

    def __init__(self, title: str, fields: Sequence[Field], check: Check, note: str = "") -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._check = check
        self._note = note

    def compose(self) -> ComposeResult:
        """A line for each field, its hint below, what is wrong, two buttons."""
        with VerticalScroll(classes="modal") as box:
            box.border_title = self._title
            box.border_subtitle = "enter takes · escape leaves"
            if self._note:
                yield Static(Content(self._note), classes="note")
            for field in self._fields:
                with Horizontal(classes="field"):
                    yield Static(Content(field.label), classes="label")
                    yield Input(field.value, id=f"field-{field.name}", compact=True)
                if field.hint:
                    yield Static(Content(field.hint), classes="hint")
            yield Static("", classes="problem")
            with Horizontal(classes="buttons"):
                yield Button("Take", variant="primary", id="take", compact=True)
                yield Button("Leave", id="leave", compact=True)

    def on_mount(self) -> None:
        """Begin with the first field."""
        self.query(Input).first().focus()

    @property
    def values(self) -> Values:
        """What stands in the fields."""
        return {f.name: self.query_one(f"#field-{f.name}", Input).value for f in self._fields}

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field; the last one takes the form."""
        inputs = list(self.query(Input))
        number = inputs.index(event.input)
        if number + 1 < len(inputs):
            inputs[number + 1].focus()
        else:
            self.action_take()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take or leave."""
        if event.button.id == "take":
            self.action_take()
        else:
            self.dismiss(None)

    def action_take(self) -> None:
        """Return the values, or tell what is wrong with them."""
        values = self.values
        try:
            self._check(values)
        except KistackError as error:
            self.query_one(".problem", Static).update(_problem(error))
        else:
            self.dismiss(values)


class ChoiceModal(Modal[str | None]):
    """A list to choose from, with a field for anything else.

    Args:
        title: what it is about.
        choices: the value of each choice with its line.
        other: the label of the field.
        check: raises KistackError where a value does not fit; told below.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave")]

    def __init__(
        self, title: str, choices: Sequence[tuple[str, str]], other: str, check: Callable[[str], object]
    ) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._other = other
        self._check = check

    def compose(self) -> ComposeResult:
        """The list above the field."""
        with Vertical(classes="modal") as box:
            box.border_title = self._title
            box.border_subtitle = "enter takes · tab goes to the field · escape leaves"
            yield OptionList(*(Option(Content(line)) for _, line in self._choices))
            with Horizontal(classes="field"):
                yield Static(Content(self._other), classes="label")
                yield Input(compact=True)
            yield Static("", classes="problem")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the chosen one."""
        self._take(self._choices[event.option_index][0])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was written."""
        self._take(event.value.strip())

    def _take(self, value: str) -> None:
        try:
            self._check(value)
        except KistackError as error:
            self.query_one(".problem", Static).update(_problem(error))
        else:
            self.dismiss(value)


class LinesModal(Modal[str | None]):
    """Lines of text, once they pass the check."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", priority=True),
        Binding("ctrl+s", "take", "Take", priority=True),
    ]

    def __init__(self, title: str, note: str, text: str, check: Callable[[str], object]) -> None:
        super().__init__()
        self._title = title
        self._note = note
        self._text = text
        self._check = check

    def compose(self) -> ComposeResult:
        """A note, the lines, what is wrong."""
        with Vertical(classes="modal") as box:
            box.border_title = self._title
            box.border_subtitle = "ctrl+s takes · escape leaves"
            yield Static(Content(self._note), classes="note")
            yield TextArea(self._text, compact=True)
            yield Static("", classes="problem")

    def on_mount(self) -> None:
        """Write at once."""
        self.query_one(TextArea).focus()

    def action_take(self) -> None:
        """Return the text, or tell what is wrong with it."""
        text = self.query_one(TextArea).text
        try:
            self._check(text)
        except KistackError as error:
            self.query_one(".problem", Static).update(_problem(error))
        else:
            self.dismiss(text)


class PageModal(Modal[None]):
    """A text to read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss(None)", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, as long as it is."""
        with VerticalScroll(classes="modal page") as box:
            box.border_title = self._title
            box.border_subtitle = "escape closes"
            yield Static(Content(self._text))

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self.query_one(VerticalScroll).focus()
