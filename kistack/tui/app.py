"""The wizard's app: its screens by name, its themes, its keys. Screens are imported when they are first shown."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.theme import Theme

from kistack.errors import KistackError
from kistack.tui.messages import CandidatesJudged, FactsCame, PreparationFailed, Profiled
from kistack.tui.screens.base import WizardScreen, told
from kistack.tui.screens.sizing import Ground
from kistack.tui.session import Session
from kistack.tui.steps import STEPS, Step, check_open, find_step
from kistack.tui.widgets.options import mend_paging

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

DARK = Theme(
    name="kistack-dark", dark=True, primary="#5fafff", secondary="#87d7af", accent="#ffd75f", foreground="#e4e4e4",
    background="#121417", surface="#1b1e23", panel="#262b33", success="#87d787", warning="#ffd75f", error="#ff8787",
)  # fmt: skip
LIGHT = Theme(
    name="kistack-light", dark=False, primary="#005faf", secondary="#00694b", accent="#8a5a00", foreground="#1c1c1c",
    background="#fcfcfa", surface="#f2f2ee", panel="#e4e4de", success="#00692b", warning="#8a5a00", error="#af0000",
)  # fmt: skip


def _load(step: Step) -> Screen[Any]:
    """A step's screen."""
    made: Screen[Any] = getattr(importlib.import_module(step.module), step.screen)()
    return made


class WizardApp(App[None]):
    """The wizard.

    Args:
        session: what is known at the start: the folder, and the host where it is not that of all installed plugins.
    """

    TITLE = "kistack"
    CSS_PATH = "wizard.tcss"
    SCREENS: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {step.name: partial(_load, step) for step in STEPS}
    # ctrl+p goes to the step before.
    COMMAND_PALETTE_BINDING = "f2"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Leave", key_display="^q", priority=True)]

    def __init__(self, session: Session) -> None:
        super().__init__()
        mend_paging()
        self.session = session
        self._preparing: Workspace | None = None
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = DARK.name

    def get_default_screen(self) -> Screen[None]:
        """What lies under the steps."""
        return Ground(id="_default")

    def on_mount(self) -> None:
        """Show the first step."""
        self.push_screen("start")

    def on_unmount(self) -> None:
        """Leave what was kept from the collector of garbage to it."""
        gc.unfreeze()

    # --- facts and candidates, made in a thread

    def prepare(self, *, refresh: bool = False) -> None:
        """See to it that facts and judged candidates come; what is known or under way already is left alone.

        Args:
            refresh: measure again what is known.
        """
        session = self.session
        if refresh and session.place is not None:
            session.profile = session.bench = session.advice = None
            # Another object, so that what is under way is known to be out of date.
            session.place = session.place.restated(session.place.scenario)
        place = session.place
        if place is None or session.bench is not None or self._preparing is place:
            return
        self._preparing = place
        gc.unfreeze()
        session.trouble = None
        if session.profile is None:
            session.facts = {}
        self.run_worker(
            partial(self._prepare, place, refresh=refresh), thread=True, exclusive=True, group="prepare",
            exit_on_error=False,
        )  # fmt: skip

    def _prepare(self, place: Workspace, *, refresh: bool) -> None:
        """Measure, compose and judge; runs in a thread and only posts what it finds."""
        try:
            profile = place.profile(refresh=refresh, on_facts=lambda facts: self._post(FactsCame(place, facts)))
            self._post(Profiled(place, profile))
            from kistack.advisor.judging import Bench
            from kistack.advisor.recommend import recommended
            from kistack.tui.goals import settle

            bench = Bench(place.scenario, profile, place.host, place.calibration())
            advice = recommended(bench)
            settle(bench)
            self._post(CandidatesJudged(place, bench, advice))
        except Exception as error:  # noqa: BLE001 - a thread must not take the wizard down
            self._post(PreparationFailed(place, told(error)))

    def _post(self, message: Message) -> None:
        self.post_message(message)

    def on_facts_came(self, event: FactsCame) -> None:
        """Facts as they come."""
        if event.place is self.session.place:
            self.session.facts = {**self.session.facts, **event.facts}
            self._refreshed()

    def on_profiled(self, event: Profiled) -> None:
        """All facts."""
        if event.place is self.session.place:
            self.session.profile = event.profile
            self.session.facts = dict(event.profile.facts)
            self.session.did("profile")
            self._refreshed()

    def on_candidates_judged(self, event: CandidatesJudged) -> None:
        """All candidates."""
        if event.place is self.session.place:
            self._preparing = None
            self.session.bench, self.session.advice = event.bench, event.advice
            self._refreshed()

    def on_preparation_failed(self, event: PreparationFailed) -> None:
        """Why there are no facts, or no candidates."""
        if event.place is self.session.place:
            self.session.trouble = event.error
            if self.shown is not None:
                self.shown.show_error(event.error)

    def _refreshed(self) -> None:
        if self.shown is not None:
            self.shown.refreshed()

    # --- steps

    @property
    def shown(self) -> WizardScreen | None:
        """The step in front, also where a modal lies over it."""
        return next((s for s in reversed(self.screen_stack) if isinstance(s, WizardScreen)), None)

    def action_go(self, name: str) -> None:
        """Show a step, or tell why it has nothing to show yet."""
        here = self.shown
        if here is None or name == here.STEP or here is not self.screen:
            return
        step = find_step(name)
        try:
            check_open(step, self.session)
            screen = self.get_screen(name)
        except KistackError as error:
            here.show_error(error)
        except ImportError as error:
            here.show_error(told(error))
        else:
            self.switch_screen(screen)

    def action_toggle_theme(self) -> None:
        """Change between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_command_palette(self) -> None:
        """Show the palette."""
        from kistack.tui.widgets.palette import Palette

        if self.use_command_palette and not Palette.is_open(self):  # type: ignore[arg-type]  # any app will do
            self.push_screen(Palette(id="--command-palette"))

    def search_themes(self) -> None:
        """Show a palette of all themes."""
        from textual.theme import ThemeProvider

        from kistack.tui.widgets.palette import Palette

        self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes …"))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: every step, then what textual offers."""
        for number, step in enumerate(STEPS, 1):
            yield SystemCommand(step.title, f"Go to step {number}", partial(self.action_go, step.name))
        yield SystemCommand("Light or dark", "Change the theme", self.action_toggle_theme)
        yield from super().get_system_commands(screen)
