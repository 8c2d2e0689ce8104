"""Run: a plan built and measured in a process of its own, watched live; leaving changes nothing for it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable, Log, Static
from textual.worker import Worker, get_current_worker

from kistack.bundle.runs import resume_detached
from kistack.domain.planfile import load_plan
from kistack.errors import InputError, KistackError, PlanError
from kistack.execution.detach import cancel, is_driven, list_runs
from kistack.execution.events import Event
from kistack.tui.plan_files import PLAN_NAME
from kistack.tui.results_view import bundle_of, run_lines
from kistack.tui.run_control import Started, start, watch
from kistack.tui.run_view import STEP_COLUMNS, RunView, StepView, headline, step_rows
from kistack.tui.screens.base import WizardScreen, told
from kistack.tui.screens.confirm import ConfirmModal
from kistack.tui.screens.modals import ChoiceModal
from kistack.tui.screens.saving import saved
from kistack.tui.widgets.curves import Curves

_TICK_SECONDS = 1.0
_STOPPED = """\
The run is asked to stop. Steps that are finished are kept, and so are the checkpoints of the training under way: \
going on with it (r) takes them up from there. What was computed since the last checkpoint is computed again."""


class RunScreen(WizardScreen):
    """The sixth step."""

    STEP = "run"
    HELP = """\
s starts the plan as kistack run --detach does: in a process of its own, which goes on when you leave this screen or \
the wizard. Come back and it is shown from its beginning.

Pause (t) stops it at once and keeps finished steps and checkpoints; go on (r) runs the same plan in the same folder, \
from the last checkpoint. There is no freezing of a process in between: a paused run holds no memory. Cancel (x) does \
the same after asking. l shows earlier runs."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "start", "Start"),
        Binding("t", "pause", "Pause"),
        Binding("r", "resume", "Go on"),
        Binding("x", "cancel", "Cancel"),
        Binding("l", "runs", "Runs"),
        Binding("v", "next_curve", "Next curve", show=False),
        Binding("enter", "results", "Results", show=False),
    ]
    CSS = """
    RunScreen #headline { height: auto; max-height: 3; text-style: bold; }
    RunScreen #run { height: 2fr; }
    RunScreen #run-steps { width: 3fr; height: 1fr; }
    RunScreen #curves { width: 2fr; }
    RunScreen.-narrow #run { layout: vertical; height: 3fr; }
    RunScreen.-narrow #run-steps, RunScreen.-narrow #curves { width: 1fr; height: 1fr; }
    RunScreen #log { height: 1fr; min-height: 3; border-top: solid $panel; background: $background; }
    """

    class Began(Message):
        """A run has begun."""

        def __init__(self, started: Started, again: float = 0.0) -> None:
            super().__init__()
            self.started = started
            #: When it was taken up again; 0 where it is new.
            self.again = again

    class OverLimits(Message):
        """The plan is expected to exceed a limit; nothing was started."""

        def __init__(self, error: PlanError) -> None:
            super().__init__()
            self.error = error

    class Happened(Message):
        """Events of a run came."""

        def __init__(self, run_dir: Path, events: list[Event]) -> None:
            super().__init__()
            self.run_dir = run_dir
            self.events = events

    class Lost(Message):
        """The process of a run is gone."""

        def __init__(self, run_dir: Path, cause: str) -> None:
            super().__init__()
            self.run_dir = run_dir
            self.cause = cause

    class Stopped(Message):
        """A run was stopped."""

        def __init__(self, status: str) -> None:
            super().__init__()
            self.status = status

    def __init__(self) -> None:
        super().__init__()
        self.view = RunView()
        self._watched: Path | None = None
        self._watcher: Worker[None] | None = None
        self._logged = 0
        self._at = -1
        self._headline = ""
        self._busy = False

    def compose_body(self) -> ComposeResult:
        """The run in a line, its steps beside its curves, its log."""
        yield Static("", id="headline")
        with Horizontal(id="run"):
            yield DataTable(id="run-steps", cursor_type="row", zebra_stripes=False)
            yield Curves(id="curves")
        yield Log(id="log", max_lines=2000, highlight=False)

    def on_mount(self) -> None:
        """Show elapsed time as it passes."""
        self.query_one("#run-steps", DataTable).add_columns(*STEP_COLUMNS)
        self.set_interval(_TICK_SECONDS, self._tick)
        self.query_one("#run-steps").focus()

    def entered(self) -> None:
        """Watch the run at hand: the one that runs, else the last."""
        session = self.session
        if session.place is None:
            return
        if session.run_dir is None:
            runs = list_runs(session.place.project.runs)
            running = [r for r in runs if r.status == "running"]
            session.run_dir = (running or runs)[-1].folder if runs else None
        if session.run_dir is None:
            self._forget()
        elif session.run_dir != self._watched:
            self._follow(session.run_dir)
        self._show()

    # --- watching

    def _forget(self) -> None:
        """Show no run."""
        if self._watcher is not None:
            self._watcher.cancel()
        self.view, self._watched, self._logged = RunView(), None, 0
        self._at = -1
        self.query_one(Log).clear()

    def _follow(self, run_dir: Path, since: float = 0.0) -> None:
        """Follow a run from its beginning; ``since`` is when it was taken up again."""
        self._forget()
        self.view, self._watched = RunView(run_dir.name), run_dir
        self._watcher = self.run_worker(
            partial(self._watching, run_dir, since), thread=True, exclusive=True, group="watch", exit_on_error=False
        )

    def _watching(self, run_dir: Path, since: float) -> None:
        worker = get_current_worker()
        try:
            watch(
                run_dir,
                tell=lambda events: self.post_message(self.Happened(run_dir, events)),
                lost=lambda cause: self.post_message(self.Lost(run_dir, cause)),
                gone=lambda: worker.is_cancelled or not self.is_attached,
                since=since,
            )
        except Exception as error:  # noqa: BLE001 - a thread must not take the wizard down
            self.post_message(self.Failed(told(error)))

    def on_run_screen_happened(self, event: Happened) -> None:
        """Take events in."""
        if event.run_dir == self._watched:
            before = self.view.ended
            self.view.take(event.events)
            self._show()
            if self.view.ended and not before:
                self._tell_end()

    def on_run_screen_lost(self, event: Lost) -> None:
        """Show why the run is gone."""
        if event.run_dir == self._watched:
            self.view.lost(event.cause, now=time.time())
            self._show()
            self._tell_end()

    def _tell_end(self) -> None:
        view = self.view
        if view.status == "done":
            if self._watched is not None:
                self.session.bundle = bundle_of(self._watched)
            self.say("Done. Enter shows the results; 8 asks what was built.")
        elif view.status == "cancelled":
            self.say("Stopped; what is finished is kept. r goes on from the last checkpoint.")
        else:
            self.show_error(KistackError(f"{view.status}: {view.cause}", view.hint or "r goes on from what is kept"))

    def _tick(self) -> None:
        if self.is_current and not self.view.ended and self.view.status != "new":
            self._show()

    def _show(self) -> None:
        """Show the run as it stands."""
        now, view = time.time(), self.view
        # Whatever is shown anew is laid out anew, and a key waits for it.
        if (line := headline(view, now)) != self._headline:
            self._headline = line
            self.query_one("#headline", Static).update(Content(line))
        table = self.query_one("#run-steps", DataTable)
        rows = step_rows(view, now)
        if table.row_count != len(rows):
            table.clear()
            for row in rows:
                table.add_row(*map(Text, row))
        else:
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    spot = Coordinate(number, column)
                    if str(table.get_cell_at(spot)) != cell:
                        table.update_cell_at(spot, Text(cell), update_width=True)
        current = view.steps.index(step) if (step := view.current) is not None else self._at
        if current != self._at and current < table.row_count:
            self._at = current  # it goes with the run, and stays where the user puts it while a step lasts
            table.move_cursor(row=current)
        self._show_log()
        self.query_one(Curves).draw(view.series)

    def _show_log(self) -> None:
        new = self.view.lines - self._logged
        if new > 0:
            self.query_one(Log).write_lines(list(self.view.log)[-new:])
            self._logged = self.view.lines

    # --- starting

    def action_start(self) -> None:
        """Run the plan at hand."""
        session = self.session
        if self._watched is not None and not self.view.ended and is_driven(self._watched):
            self.show_error(InputError("a run is under way", "wait for it, or cancel it with x"))
            return
        path = session.folder / PLAN_NAME
        if session.plan is None and path.is_file():
            with self.telling():
                session.plan, session.plan_file = load_plan(path), path
        if session.plan is None:
            self.show_error(InputError("there is no plan to run", "take one in Recommendation, or compose one"))
            return
        saved(self, session.plan, self._start)

    def _start(self, *, over_limits: bool = False) -> None:
        place, plan_file = self.session.place, self.session.plan_file
        if place is None or plan_file is None or self._busy:
            return
        self._busy = True
        self.say("checking the plan, then starting …")

        def work() -> Message:
            found = start(place, plan_file, over_limits=over_limits)
            return self.Began(found) if isinstance(found, Started) else self.OverLimits(found.error)

        self.background(work, group="start")

    def on_run_screen_over_limits(self, event: OverLimits) -> None:
        """Ask whether to run it all the same."""
        self._busy = False

        def take(agreed: bool | None) -> None:
            if agreed:
                self._start(over_limits=True)
            else:
                self.say("nothing was started")

        text = f"{event.error.message}\n\n{event.error.hint}"
        self.app.push_screen(ConfirmModal("It is expected to exceed a limit", text, "Run it all the same"), take)

    def on_run_screen_began(self, event: Began) -> None:
        """Watch the run that has begun."""
        self._busy = False
        session, started = self.session, event.started
        session.run_dir = started.run_dir
        if not event.again and session.plan_file is not None:
            session.bundle = None
            session.did("run", session.plan_file, "--detach")
        self.say(f"{started.run_dir.name} runs in process {started.pid}; leaving the wizard does not end it")
        self._follow(started.run_dir, event.again)
        self._show()

    def on_wizard_screen_failed(self, event: WizardScreen.Failed) -> None:
        """Nothing is under way any more; the handler of all screens shows why."""
        self._busy = False

    # --- stopping and going on

    def action_pause(self) -> None:
        """Stop the run so that it can go on."""
        self._stop()

    def action_cancel(self) -> None:
        """Stop the run, after asking."""
        if self._can_stop():

            def take(agreed: bool | None) -> None:
                if agreed:
                    self._stop()

            self.app.push_screen(ConfirmModal(f"Cancel {self.view.run or 'the run'}", _STOPPED, "Cancel the run"), take)

    def _can_stop(self) -> bool:
        if self._watched is None or self.view.ended or not is_driven(self._watched):
            self.show_error(
                InputError("nothing is running", "s starts the plan, r goes on with a run that was stopped")
            )
            return False
        return True

    def _stop(self) -> None:
        run_dir = self._watched
        if not self._can_stop() or run_dir is None or self._busy:
            return
        self._busy = True
        self.say("stopping; what is finished is kept …")
        self.background(lambda: self.Stopped(cancel(run_dir).status), group="stop")

    def on_run_screen_stopped(self, event: Stopped) -> None:
        """A run was stopped; its last events are shown as they come."""
        self._busy = False
        if event.status == "running":
            self.show_error(KistackError("the run does not listen yet", "wait a little, then try again"))

    def action_resume(self) -> None:
        """Go on with the run that is shown."""
        place, run_dir = self.session.place, self._watched
        if place is None or run_dir is None or self._busy:
            return
        if not self.view.ended or self.view.status == "done":
            self.show_error(InputError("there is nothing to go on with", "s starts the plan at hand"))
            return
        self._busy = True
        self.say("going on …")
        now = time.time()
        self.background(
            lambda: self.Began(Started(run_dir, resume_detached(place.project, run_dir)), now), group="start"
        )

    # --- looking around

    def action_runs(self) -> None:
        """Choose an earlier run to look at."""
        place = self.session.place
        if place is None:
            return
        project = place.project
        runs = list_runs(project.runs)
        if not runs:
            self.say("No runs yet.")
            return

        def take(run: str | None) -> None:
            if run:
                self.session.run_dir = project.run_folder(run)
                self.session.bundle = bundle_of(self.session.run_dir) or self.session.bundle
                self.say("")
                self._follow(self.session.run_dir)
                self._show()

        self.app.push_screen(ChoiceModal("Runs", run_lines(runs), "run", project.run_folder), take)

    def action_next_curve(self) -> None:
        """Show the next curve, where there is room for one."""
        self.query_one(Curves).choose_next()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on the steps."""
        event.stop()
        self.action_results()

    def action_results(self) -> None:
        """Go to the results of a run that is done."""
        if self.view.status == "done":
            self.wizard.action_go("results")
        elif (step := self._under_cursor()) is not None and step.error:
            self.say(f"{step.use}: {step.error}")
        else:
            self.say("The results come when the run is done.")

    def _under_cursor(self) -> StepView | None:
        row = self.query_one("#run-steps", DataTable).cursor_row
        return self.view.steps[row] if 0 <= row < len(self.view.steps) else None
