"""Compose: the plan step by step, each step's settings, the file it makes, and what it is expected to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from kistack.domain.plan import Plan
from kistack.domain.planfile import load_plan
from kistack.errors import InputError
from kistack.tui.forms import form_of
from kistack.tui.plan_editing import PlanEditor, estimate_line, problem_lines, step_line
from kistack.tui.plan_files import PLAN_NAME, says
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import ChoiceModal
from kistack.tui.screens.saving import save_plan, saved
from kistack.tui.widgets.settings_form import SettingRow, SettingsForm

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

#: Composing waits so long for the next key while somebody types.
_PAUSE_SECONDS = 0.15


class ComposeScreen(WizardScreen):
    """The fifth step."""

    STEP = "compose"
    HELP = """\
The plan as steps, in the order in which they run. Each edit is checked: an order that cannot work is refused, with \
the reason. Steps that are put in automatically (an adapter merged before it is quantized) are named beside the step \
that needs them.

The file at the right is all there is to a plan: kistack run does the same with it. Nothing is written before you \
press o, and no file is replaced without asking."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add"),
        Binding("x,delete", "remove", "Remove", key_display="x"),
        Binding("K", "move(-1)", "Up", key_display="K"),
        Binding("J", "move(1)", "Down", key_display="J"),
        Binding("p", "provider", "Provider"),
        Binding("d", "defaults", "Defaults", show=False),
        Binding("u", "undo", "Undo"),
        Binding("y", "toggle_yaml", "File", show=False),
        Binding("o", "write", "Write"),
        Binding("g", "go_run", "Run"),
        Binding("escape", "leave_field", "Back to the steps", show=False),
    ]
    CSS = """
    ComposeScreen #compose { height: 1fr; }
    ComposeScreen #plan-steps { width: 30; height: 1fr; border: round $panel; }
    ComposeScreen.-wide #plan-steps { width: 40; }
    ComposeScreen SettingsForm { width: 1fr; height: 1fr; border: round $panel; }
    ComposeScreen #yaml { width: 1fr; height: 1fr; border: round $panel; padding: 0 1; }
    ComposeScreen.-narrow #yaml { display: none; }
    ComposeScreen.-narrow.-file #yaml { display: block; }
    ComposeScreen.-narrow.-file SettingsForm { display: none; }
    ComposeScreen #estimate { height: auto; max-height: 3; }
    ComposeScreen #problems { height: auto; max-height: 5; color: $error; display: none; }
    ComposeScreen #problems.-some { display: block; }
    ComposeScreen #compose > *:focus, ComposeScreen #compose > *:focus-within { border: round $primary; }
    """

    class Ready(Message):
        """The facts that composing needs are known, and the session has another plan or project than is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.editor: PlanEditor | None = None
        self._place: Workspace | None = None
        self._selected = 0
        self._formed: tuple[int, str] | None = None
        self._waiting: Timer | None = None

    def compose_body(self) -> ComposeResult:
        """Steps, form and file beside each other; estimate and problems below."""
        with Horizontal(id="compose"):
            steps = OptionList(id="plan-steps")
            steps.border_title = "Steps"
            yield steps
            form = SettingsForm()
            form.border_title = "Settings"
            yield form
            with VerticalScroll(id="yaml") as file:
                file.border_title = PLAN_NAME
                yield Static("", id="yaml-text")
        yield Static("", id="estimate")
        with VerticalScroll(id="problems", can_focus=False):
            yield Static("", id="problem-lines")

    def entered(self) -> None:
        """Take the session's plan up, once the facts are known."""
        session = self.session
        if session.place is None:
            return
        self.wizard.prepare()
        if session.profile is None:
            self.query_one("#estimate", Static).update("reading the project's facts …")
        elif self.editor is None or self._place is not session.place or self.editor.plan != session.plan:
            self.post_message(self.Ready())

    async def on_compose_screen_ready(self) -> None:
        """Begin with the plan at hand: the recommended one, the file's, or none."""
        session, place = self.session, self.session.place
        if place is None or session.profile is None:
            return
        if session.plan is None:
            self._read_file()
        plan = session.plan or Plan()
        self._place = place
        self.editor = PlanEditor(plan, place.host, lambda p: place.compose(p, evaluation=False))
        self._selected, self._formed = 0, None
        await self._refresh()
        self.query_one("#plan-steps").focus()
        if not plan.steps:
            self.say("The plan is empty: it delivers the base model as it is. Press a to add a step.")

    def _read_file(self) -> None:
        path = self.session.folder / PLAN_NAME
        if path.is_file():
            with self.telling():
                self.session.plan, self.session.plan_file = load_plan(path), path

    # --- showing

    async def _refresh(self) -> None:
        """Show the plan as it stands."""
        editor = self.editor
        if editor is None:
            return
        self.session.plan = editor.plan
        self._selected = min(self._selected, max(0, len(editor.steps) - 1))
        self._show_standing()
        await self._show_form()

    def _show_standing(self) -> None:
        """Everything but the form, which somebody may be typing in."""
        editor = self.editor
        if editor is None:
            return
        steps = self.query_one("#plan-steps", OptionList)
        options = []
        for number, step in enumerate(editor.steps):
            cost = step_line(editor.standing, number)
            text = Content(f"{number + 1} {step.use}") + Content.styled(f"\n  {cost}" if cost else "", "dim")
            options.append(Option(text))
        with steps.prevent(OptionList.OptionHighlighted):
            steps.clear_options()
            steps.add_options(options)
            steps.highlighted = self._selected if options else None
        written = says(self.session.plan_file, editor.plan)
        file = self.query_one("#yaml", VerticalScroll)
        name = self.session.plan_file.name if self.session.plan_file is not None else PLAN_NAME
        file.border_title = f"{name} ({'written' if written else 'not written yet: o'})"
        self.query_one("#yaml-text", Static).update(Content(editor.yaml))
        self.query_one("#estimate", Static).update(Content("Expected: " + estimate_line(editor.standing)))
        lines = problem_lines(editor.standing)
        self.query_one("#problem-lines", Static).update(Content("\n".join(f"! {line}" for line in lines)))
        self.query_one("#problems").set_class(bool(lines), "-some")

    async def _show_form(self) -> None:
        editor, form = self.editor, self.query_one(SettingsForm)
        if editor is None:
            return
        if not editor.steps:
            self._formed = None
            await form.show("No step", "press a to add one", (), 0)
            return
        step = editor.steps[self._selected]
        if self._formed == (self._selected, step.use):
            return
        self._formed = (self._selected, step.use)
        stage = editor.stage(self._selected)
        if stage is None:
            await form.show(step.use, "nothing installed has this name: remove it, or install its plugin", (), 0)
            return
        await form.show(step.use, stage.summary, form_of(stage.Settings, step.with_), self._selected)

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Show the settings of the step the cursor is on."""
        event.stop()
        editor = self.editor
        # Keys may come faster than the list is filled: what it told of steps that are gone counts no more.
        if editor is None or event.option_list.id != "plan-steps" or event.option_index >= len(editor.steps):
            return
        if event.option_index != self._selected:
            self._selected = event.option_index
            await self._show_form()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to the form of the chosen step."""
        event.stop()
        for row in self.query(SettingRow):
            row.query("Input, Select, Checkbox").first().focus()
            return

    def on_setting_row_changed(self, event: SettingRow.Changed) -> None:
        """Take another value of a setting, or tell in its row why not."""
        editor, row = self.editor, event.row
        if editor is None or self._formed is None or row.step != self._formed[0] or not row.is_attached:
            return
        try:
            editor.set(row.step, row.field.name, event.value)
        except InputError as error:
            row.tell(error.message)
            return
        row.tell("")
        self.session.plan = editor.plan
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(_PAUSE_SECONDS, self._show_standing)

    # --- edits

    def action_add(self) -> None:
        """Choose a stage and add it behind the current step."""
        editor = self.editor
        if editor is None:
            return
        choices = [(s.name, f"{s.name}  {s.summary}") for s in editor.addable()]

        async def take(use: str | None) -> None:
            if use:
                with self.telling():
                    self._selected = editor.add(use, self._selected if editor.steps else -1)
                    self.say(f"{use} added")
                await self._refresh()

        self.app.push_screen(ChoiceModal("Add a step", choices, "stage", self._known), take)

    def _known(self, use: str) -> None:
        """Refuse a name that no stage has."""
        if self.editor is None or use not in {s.name for s in self.editor.addable()}:
            raise InputError(f"no stage {use!r} can be a step", "choose one from the list")

    def action_provider(self) -> None:
        """Choose another stage of the same kind."""
        editor = self.editor
        if editor is None or not editor.steps:
            return
        step = self._selected
        choices = [(s.name, f"{s.name}  {s.summary}") for s in editor.providers(step)]

        async def take(use: str | None) -> None:
            if use:
                with self.telling():
                    editor.provide(step, use)
                    self.say(f"{use} does it now")
                await self._refresh()

        title = f"Who does step {step + 1} ({editor.steps[step].use})"
        self.app.push_screen(ChoiceModal(title, choices, "stage", self._known), take)

    async def action_remove(self) -> None:
        """Remove the current step."""
        if (editor := self.editor) is not None:
            with self.telling():
                use = editor.steps[self._selected].use if editor.steps else ""
                editor.remove(self._selected)
                self.say(f"{use} removed; u takes it back")
            self._formed = None
            await self._refresh()

    async def action_move(self, by: int) -> None:
        """Move the current step."""
        if (editor := self.editor) is not None:
            with self.telling():
                self._selected = editor.move(self._selected, by)
                self.say("")
            await self._refresh()

    async def action_defaults(self) -> None:
        """Give the current step its defaults."""
        if (editor := self.editor) is not None:
            with self.telling():
                editor.reset(self._selected)
                self.say("its defaults again; u takes it back")
            self._formed = None
            await self._refresh()

    async def action_undo(self) -> None:
        """Take back the last edit."""
        if (editor := self.editor) is not None:
            with self.telling():
                editor.undo()
                self.say("taken back")
            self._formed = None
            await self._refresh()

    # --- going on

    def action_leave_field(self) -> None:
        """Leave the form, so that keys are commands again."""
        self.query_one("#plan-steps").focus()

    def action_toggle_yaml(self) -> None:
        """Show the file in the place of the form, where there is no room for both."""
        self.toggle_class("-file")

    def action_write(self) -> None:
        """Ask where the plan goes, and write it."""
        if self.editor is not None:
            save_plan(self, self.editor.plan, self._show_standing)

    def action_go_run(self) -> None:
        """Go to the run, with the plan in a file."""
        if self.editor is None:
            return
        if self.editor.standing.problems:
            self.show_error(InputError("the plan does not compose yet", "mend the problems below first"))
            return

        def go() -> None:
            self._show_standing()
            self.wizard.action_go("run")

        saved(self, self.editor.plan, go)
