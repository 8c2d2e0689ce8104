"""What all screens of the wizard share: the steps above, messages below, help, and work that is done in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker

from kistack.errors import InputError, KistackError
from kistack.tui.screens.help import HelpScreen
from kistack.tui.screens.sizing import NewestSize
from kistack.tui.steps import STEPS, beside, find_step
from kistack.tui.widgets.words import Words

if TYPE_CHECKING:
    from kistack.tui.app import WizardApp
    from kistack.tui.session import Session

#: From this many columns on a screen shows things side by side.
WIDE = 100
#: From this many lines on it leaves room between things.
TALL = 36


class WizardScreen(NewestSize, Screen[None]):
    """One step of the wizard.

    A screen says which ``STEP`` it is and gives ``HELP``, makes its widgets in ``compose_body``, and shows what the
    session holds in ``entered``, which is called each time the screen comes to the front. Work that may take long
    goes to ``background``: it runs in a thread and returns a message, which the screen handles. Below 100 columns the
    screen has the class ``-narrow``, else ``-wide``; from 36 lines on ``-tall``, else ``-low``.
    """

    STEP: ClassVar[str] = ""
    HELP: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - textual declares it for instances
        (0, "-narrow"),
        (WIDE, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - textual declares it for instances
        (0, "-low"),
        (TALL, "-tall"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"app.go('{step.name}')", step.title, show=False)
            for number, step in enumerate(STEPS, 1)
        ),
        Binding("ctrl+n", "go_beside(1)", "Next", key_display="^n"),
        Binding("ctrl+p", "go_beside(-1)", "Step before", key_display="^p", show=False),
        Binding("f1,question_mark", "help", "Help", key_display="?"),
        Binding("ctrl+t", "app.toggle_theme", "Light or dark", show=False),
    ]

    class Failed(Message):
        """Work in a thread ended with an error."""

        def __init__(self, error: KistackError) -> None:
            super().__init__()
            self.error = error

    @property
    def session(self) -> Session:
        """What the wizard knows."""
        return self.wizard.session

    @property
    def wizard(self) -> WizardApp:
        """The app, by its own type."""
        return cast("WizardApp", self.app)

    def compose(self) -> ComposeResult:
        """The steps, the screen's own widgets, the status line, the keys."""
        yield Static(self._steps(), id="steps")
        with Vertical(id="body"):
            yield from self.compose_body()
        yield Words(Content(""), id="status")
        yield Footer(show_command_palette=False)

    def compose_body(self) -> ComposeResult:
        """The widgets between the steps and the status line."""
        raise NotImplementedError

    def entered(self) -> None:
        """Show what the session holds; called each time the screen comes to the front."""

    def refreshed(self) -> None:
        """Show what the session holds now; called while in front, when facts or candidates came."""
        self.entered()

    def on_screen_resume(self) -> None:
        """Show what changed while another screen was in front, and what still stands in the way."""
        self.entered()
        if self.session.trouble is not None:
            self.show_error(self.session.trouble)

    def _steps(self) -> Content:
        shown = []
        for number, step in enumerate(STEPS, 1):
            here = step.name == self.STEP
            # The current step is marked by brackets too, for terminals without colour.
            text = f"[{step.title}]" if here else f"{number} {step.title}"
            shown.append(Content(text).stylize("bold reverse" if here else f"@click=app.go('{step.name}')"))
        return Content(" ").join(shown)

    # --- messages

    def say(self, text: str) -> None:
        """Show a message in the status line; an empty one clears it."""
        self._status(text)

    def show_error(self, error: KistackError) -> None:
        """Show what is wrong, and what to do about it."""
        hint = f"\nhint: {error.hint}" if error.hint else ""
        self._status(f"error: {error.message}{hint}", error=True)

    def _status(self, text: str, *, error: bool = False) -> None:
        line = self.query_one("#status", Words)
        line.set_class(error, "-error")
        line.set_class(bool(text), "-said")
        line.update(Content(text))

    @contextmanager
    def telling(self) -> Iterator[None]:
        """A block whose errors are shown instead of raised."""
        try:
            yield
        except KistackError as error:
            self.show_error(error)
        except OSError as error:
            self.show_error(_system_error(error))

    # --- work in threads

    def background(self, work: Callable[[], Message | None], *, group: str = "work") -> Worker[None]:
        """Run ``work`` in a thread and post the message that it returns; what it raises is posted as ``Failed``.

        Work of the same group that runs still is told to stop, and its message is dropped.
        """

        def run() -> None:
            from textual.worker import get_current_worker

            worker: Worker[Any] = get_current_worker()
            try:
                message = work()
            except Exception as error:  # noqa: BLE001 - a thread must not take the wizard down
                message = self.Failed(told(error))
            if message is not None and not worker.is_cancelled:
                self.post_message(message)

        return self.run_worker(run, thread=True, exclusive=True, group=group, exit_on_error=False)

    def on_wizard_screen_failed(self, event: Failed) -> None:
        """Show why work in a thread ended."""
        self.show_error(event.error)

    # --- keys

    def action_go_beside(self, by: int) -> None:
        """Go to the next step, or the one before."""
        step = beside(self.STEP, by)
        if step is not None:
            self.wizard.action_go(step.name)

    def action_help(self) -> None:
        """Show what this screen is for and its keys."""
        keys: dict[str, list[str]] = {}
        for active in self.active_bindings.values():
            binding = active.binding
            # Textual's own widgets have many more; those that scroll and edit go without saying.
            ours = type(active.node).__module__.startswith("kistack.")
            if binding.description and active.enabled and ours:
                keys.setdefault(binding.description, []).append(self.app.get_key_display(binding))
        rows = [(", ".join(dict.fromkeys(shown)), description) for description, shown in keys.items()]
        self.app.push_screen(HelpScreen(find_step(self.STEP).title, self.HELP, rows))


def told(error: BaseException) -> KistackError:
    """An error as the user is told it."""
    if isinstance(error, KistackError):
        return error
    if isinstance(error, OSError):
        return _system_error(error)
    return KistackError(f"unexpected: {type(error).__name__}: {error}", "please report it; the wizard goes on")


def _system_error(error: OSError) -> KistackError:
    return InputError(f"{error.filename or 'system'}: {error.strerror or error}", "mend that and try again")
