"""Goals: what is good enough and what it may cost; at each change the recommendation beside them is judged again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from kistack.errors import KistackError
from kistack.tui.board import cells, rows
from kistack.tui.goals import BY_KEY, GOALS, Outlook, lines, look, nudged, problem, texts
from kistack.tui.screens.base import WizardScreen
from kistack.tui.stating import adopt, save
from kistack.tui.widgets.words import Words

_COLUMNS = (0, 1, 2, 3, 4, 6, 7, 9, 11)
_LABELS = ("R", "D", "T", "Q", "points", "memory", "an answer", "to build", "verdict")

#: Goals that are named where several are not saved: the line stays one line.
_NAMED = 3


def _id(key: str) -> str:
    return "goal-" + key.replace(".", "-").replace("_", "-")


_KEYS = {_id(goal.key): goal.key for goal in GOALS}


def _table(lines: Sequence[Sequence[str]]) -> Content:
    """Lines under their labels. A table to walk in would be drawn for longer than all candidates are judged."""
    wide = [max(map(len, column)) for column in zip(_LABELS, *lines, strict=True)]
    head, *others = ("  ".join(text.ljust(w) for text, w in zip(line, wide, strict=True)) for line in (_LABELS, *lines))
    return Content.assemble((head, "bold"), *(f"\n{line}" for line in others))


class GoalField(Input):
    """The line of a goal: its keys stand here, because a line has keys for pages of its own that lead nowhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "screen.nudge(1)", "More", key_display="pgup"),
        Binding("pagedown", "screen.nudge(0)", "Less", key_display="pgdn"),
    ]


class GoalsScreen(WizardScreen):
    """The third step."""

    STEP = "goals"
    HELP = """\
What is good enough, and what it may cost. Every value may be written with its unit; an empty limit is none. At each \
change all candidates are judged again and the recommendation beside it follows; a value that does not fit is told in \
its line and changes nothing.

Enter or arrows go from field to field, page up and page down step a value; an empty limit becomes one. ctrl+s writes \
the goals into kistack.yaml and leaves your other lines and comments as they are; until then nothing is written. \
Outside of a field s does the same; escape leaves a field."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", key_display="^s"),
        Binding("s", "save", "Save", show=False),
        Binding("up", "move(-1)", "Field before", show=False),
        Binding("down", "move(1)", "Next field", show=False),
        Binding("escape", "leave_field", "Leave field", show=False),
    ]
    CSS = """
    GoalsScreen #fields { width: 62; height: 1fr; }
    GoalsScreen #outlook { width: 1fr; height: 1fr; padding: 0 0 0 1; border-left: solid $panel; }
    GoalsScreen .goal { height: 1; }
    GoalsScreen.-wide.-tall .goal { height: 3; }
    GoalsScreen .goal .label { width: 16; text-style: bold; }
    GoalsScreen .goal Input { width: 14; }
    GoalsScreen .goal .hint { width: 1fr; height: auto; padding: 0 0 0 1; color: $text-muted; }
    GoalsScreen .goal .hint.-wrong { color: $error; text-style: bold; }
    GoalsScreen #lines { height: auto; }
    /* Room for all that may be said, so that a change need not lay the screen out anew. */
    GoalsScreen.-wide #lines { min-height: 9; }
    GoalsScreen.-wide #status { display: block; min-height: 1; }
    GoalsScreen #sets { height: 1fr; margin: 1 0 0 0; }
    GoalsScreen #sets-text { width: 1fr; text-wrap: nowrap; text-overflow: clip; }
    GoalsScreen.-narrow #goals { layout: vertical; }
    GoalsScreen.-narrow #fields { width: 1fr; height: 11; }
    GoalsScreen.-low .goal .hint { height: 1; }
    GoalsScreen.-narrow #outlook { height: 1fr; padding: 0; border: none; }
    GoalsScreen.-narrow #sets { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._filling = False
        self._outlook: Outlook | None = None

    def compose_body(self) -> ComposeResult:
        """A line for each goal; beside them what is recommended."""
        with Horizontal(id="goals"):
            with Vertical(id="fields"):
                for goal in GOALS:
                    with Horizontal(classes="goal"):
                        yield Static(Content(goal.label), classes="label")
                        yield GoalField(id=_id(goal.key), compact=True)
                        yield Words(Content(goal.hint), classes="hint")
            with Vertical(id="outlook"):
                yield Words(Content(""), id="lines")
                with VerticalScroll(id="sets", can_focus=False):
                    yield Words(Content(""), id="sets-text")

    def on_mount(self) -> None:
        """Begin with the first field."""
        self.query(Input).first().focus()

    def entered(self) -> None:
        """Fill the fields in."""
        self.wizard.prepare()
        if self.session.saved is None:
            return
        self._filling = True
        for key, text in texts(self.session).items():
            self._field(key).value = text
            self._told(key, "")
        # The fields' messages come after this one.
        self.call_later(self._filled)
        self.refreshed()

    def _filled(self) -> None:
        self._filling = False

    def refreshed(self) -> None:
        """Judge under the goals as they stand."""
        if self.session.bench is None:
            self.query_one("#lines", Words).update(Content("measuring and composing …"))
            return
        with self.telling():
            self._show(look(self.session, {}))

    def _field(self, key: str) -> Input:
        return self.query_one(f"#{_id(key)}", Input)

    def _told(self, key: str, wrong: str) -> None:
        """What is wrong with a goal in its line, else its hint."""
        field = self._field(key)
        assert field.parent is not None
        hint = field.parent.query_one(".hint", Words)
        hint.set_class(bool(wrong), "-wrong")
        hint.update(Content(f"✗ {wrong}" if wrong else BY_KEY[key].hint))

    # --- changes

    def on_input_changed(self, event: Input.Changed) -> None:
        """Judge again under the new value, or tell what is wrong with it."""
        key = _KEYS.get(event.input.id or "")
        if key is not None and not self._filling:
            # As it stands: a key that came meanwhile may have stepped it.
            self._changed(key, event.input.value.strip())

    def _changed(self, key: str, text: str) -> None:
        if self.session.changes.get(key, None) == text or texts(self.session)[key] == text:
            self._told(key, "")
            self._say_unsaved()
            return
        wrong = problem(self.session, key, text)
        self._told(key, wrong)
        if wrong:  # the line may be too short for it
            self.say(f"{BY_KEY[key].label}: {wrong}")
        else:
            self._take(key, text)

    def _take(self, key: str, text: str) -> None:
        session = self.session
        try:
            if session.bench is not None:
                outlook = look(session, {key: text})
            adopt(session, {key: text})
        except KistackError as error:
            self._told(key, error.message)
            self.say(f"{BY_KEY[key].label}: {error.message}")
            return
        if session.bench is None:
            self.wizard.prepare()
        else:
            session.bench = outlook.bench
            self._show(outlook)
        self._say_unsaved()

    def _say_unsaved(self) -> None:
        """The goals that kistack.yaml does not say yet, on one line."""
        named = [BY_KEY[key].label if key in BY_KEY else key for key in self.session.changes]
        others = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        self.say(f"not saved: {', '.join(named[:_NAMED])}{others} (ctrl+s saves)" if named else "")

    def _show(self, outlook: Outlook) -> None:
        """The recommendation beside the goals."""
        self._outlook = outlook
        head, *others = lines(outlook)
        told = f"{len(outlook.judgement.order)} judged in {1000 * outlook.seconds:.0f} ms"
        shown = Content.assemble((head, "bold"), "\n" + "\n".join(others), "\n", (told, "dim"))
        self.query_one("#lines", Words).update(shown)
        if self.query_one("#sets").display:
            found = [cells(row) for row in rows(outlook.judgement, outlook.bench)]
            self.query_one("#sets-text", Words).update(_table([[texts_[n] for n in _COLUMNS] for texts_ in found]))

    # --- keys

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field."""
        self.action_move(1)

    def action_move(self, by: int) -> None:
        """Go to the field before or after."""
        inputs = list(self.query(Input))
        here = inputs.index(self.focused) if isinstance(self.focused, Input) else -by
        inputs[(here + by) % len(inputs)].focus()

    def action_nudge(self, up: int) -> None:
        """Step the value of the field one up or down."""
        if isinstance(self.focused, Input):
            field = self.focused
            goal = BY_KEY[_KEYS[field.id or ""]]
            with self.prevent(Input.Changed):  # judged at once, so that all of it is drawn together
                field.value = nudged(goal, field.value, bool(up))
            field.cursor_position = len(field.value)
            self._changed(goal.key, field.value.strip())

    def action_leave_field(self) -> None:
        """Leave the field, so that single keys count."""
        self.set_focus(None)

    def action_save(self) -> None:
        """Write the goals into kistack.yaml."""
        wrong = [BY_KEY[key].label for key in BY_KEY if problem(self.session, key, self._field(key).value.strip())]
        if wrong:
            self.say(f"error: {', '.join(wrong)} cannot be read, so nothing was saved")
            return
        with self.telling():
            self.say(f"saved: {save(self.session)}")
