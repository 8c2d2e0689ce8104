"""Results: the baseline beside the plan, predicted beside measured, examples won and lost, the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Static

from kistack.bundle.archive import kept_run
from kistack.domain.records import RunRecord
from kistack.errors import InputError, KistackError
from kistack.execution.detach import list_runs
from kistack.reporting.blocks import Table
from kistack.reporting.numbers import shown
from kistack.reporting.predictions import of_plan, predictions_table
from kistack.reporting.runs import systems_table
from kistack.reporting.sweeps import sweep_line, sweep_page
from kistack.reporting.terminal import as_text
from kistack.tui.results_view import (
    Comparison,
    Example,
    baselines,
    bundle_of,
    compared,
    example_text,
    last_sweep,
    open_page,
    planned,
    run_lines,
    write_report,
)
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import ChoiceModal, PageModal

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

#: Cells beside the text of a page over the screen.
_AROUND_PAGE = 12
_VERDICTS = ("", "won", "lost", "equal")


class ResultsScreen(WizardScreen):
    """The seventh step."""

    STEP = "results"
    HELP = """\
What the run has shown on questions that nothing was trained on: what it delivers beside the base model as it was, \
with 95 % intervals in brackets, and what was predicted beside what was measured.

Below, every question as both answered it. f shows only those won, lost or equal; b compares with another baseline; \
enter shows one in full with the passages it was given. h writes the report (report.html) into the run's folder, tells \
where it is, and opens it where there is a browser. s shows the last sweep, where one was made: every combination \
measured, what each technique does, and the regret, how far the advised plan is behind the best one."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "filter", "Filter"),
        Binding("b", "baseline", "Baseline"),
        Binding("h", "report", "Report"),
        Binding("s", "sweep", "Sweep"),
        Binding("l", "runs", "Runs"),
    ]
    CSS = """
    ResultsScreen #verdict { height: auto; max-height: 4; text-style: bold; }
    ResultsScreen #sweep { height: auto; max-height: 2; display: none; }
    ResultsScreen #sweep.-some { display: block; }
    ResultsScreen #tables { height: 1fr; }
    ResultsScreen.-narrow #tables { layout: vertical; }
    ResultsScreen #tables DataTable { width: 1fr; height: 1fr; }
    ResultsScreen #examples-box { height: 1fr; }
    ResultsScreen #examples { height: 1fr; }
    """

    class Read(Message):
        """A run's record and the comparison of its answers were read."""

        def __init__(self, run_dir: Path, record: RunRecord, found: Comparison | None, fault: str) -> None:
            super().__init__()
            self.run_dir = run_dir
            self.record = record
            self.found = found
            self.fault = fault

    class Written(Message):
        """A report was written, and shown in a browser or not."""

        def __init__(self, path: Path, shown: bool) -> None:
            super().__init__()
            self.path = path
            self.shown = shown

    class SweepRead(Message):
        """The last sweep was read: a line and its page as text; both empty where there is none."""

        def __init__(self, sweep: str, line: str, text: str) -> None:
            super().__init__()
            self.sweep = sweep
            self.line = line
            self.text = text

    def __init__(self) -> None:
        super().__init__()
        self.record: RunRecord | None = None
        self.comparison: Comparison | None = None
        self._run_dir: Path | None = None
        self._against = ""
        self._verdict = ""
        self._sweep: ResultsScreen.SweepRead | None = None

    def compose_body(self) -> ComposeResult:
        """What it shows in a line, two tables, the examples."""
        yield Static("", id="verdict")
        yield Static("", id="sweep")
        with Horizontal(id="tables"):
            yield DataTable(id="systems", cursor_type="row")
            yield DataTable(id="predictions", cursor_type="row")
        with Vertical(id="examples-box"):
            yield Static("", id="examples-head", classes="heading")
            yield DataTable(id="examples", cursor_type="row")

    def entered(self) -> None:
        """Read the run at hand, else the last that is done."""
        session = self.session
        if session.place is None:
            return
        self._read_sweep(session.place)
        run_dir = session.run_dir
        if run_dir is None:
            ended = [r.folder for r in list_runs(session.place.project.runs) if r.status == "done"]
            run_dir = ended[-1] if ended else None
        if run_dir is None:
            self._clear()
            self.query_one("#verdict", Static).update("No run has ended yet: start one in Run (6).")
            return
        self._read(run_dir)

    def _read(self, run_dir: Path) -> None:
        place = self.session.place
        if place is None:
            return
        against = self._against

        def work() -> Message:
            record = kept_run(run_dir).record
            try:
                found, fault = compared(record, place.store, against), ""
            except KistackError as error:
                found, fault = None, error.message
            return self.Read(run_dir, record, found, fault)

        if run_dir != self._run_dir:
            self._clear()
            self.query_one("#verdict", Static).update(Content(f"reading run {run_dir.name} …"))
        self.background(work, group="read")

    def on_results_screen_read(self, event: Read) -> None:
        """Show what was read."""
        record = event.record
        self._run_dir, self.record, self.comparison = event.run_dir, record, event.found
        self.session.did("report", record.run)
        if (bundle := bundle_of(event.run_dir)) is not None:
            self.session.bundle = bundle
        said = f"{record.run}: {record.techniques}, {record.status}, {shown(record.seconds, 's')}"
        if event.found is not None:
            said += f"\n{event.found.system} against {event.found.against}, {event.found.metric}: {event.found.told}"
        elif event.fault or record.error:
            said += f"\n{record.error or event.fault}"
        self.query_one("#verdict", Static).update(Content(said))
        if record.systems:
            # What was built comes first: a narrow table shows its first columns.
            order = sorted(record.systems, key=lambda name: name in baselines(record))
            self._table("#systems", systems_table({name: record.systems[name] for name in order}))
        if planned(record):
            self._table("#predictions", predictions_table(of_plan(record)))
        self._show_examples()

    def on_wizard_screen_failed(self, event: WizardScreen.Failed) -> None:
        """Say that there is nothing to show; the handler of all screens shows why."""
        if self.record is None:
            self.query_one("#verdict", Static).update("Nothing to show yet.")

    def _read_sweep(self, place: Workspace) -> None:
        width = self.app.size.width - _AROUND_PAGE

        def work() -> Message:
            try:
                found = last_sweep(place.project)
            except KistackError as error:
                return self.SweepRead("", f"The last sweep cannot be read: {error.message}", "")
            if found is None:
                return self.SweepRead("", "", "")
            return self.SweepRead(found.sweep, sweep_line(found), as_text(sweep_page(found), max(40, width)))

        self.background(work, group="sweep")

    def on_results_screen_sweep_read(self, event: SweepRead) -> None:
        """Tell of the last sweep."""
        self._sweep = event
        line = self.query_one("#sweep", Static)
        line.update(Content(event.line + (" s shows it." if event.text else "")))
        line.set_class(bool(event.line), "-some")

    def _clear(self) -> None:
        self.record = self.comparison = self._run_dir = None
        for table in self.query(DataTable):
            table.clear(columns=True)
        self.query_one("#examples-head", Static).update("")

    def _table(self, selector: str, shown_table: Table) -> None:
        table = self.query_one(selector, DataTable)
        table.clear(columns=True)
        table.add_columns(*map(Text, shown_table.columns))
        for row in shown_table.rows:
            table.add_row(*map(Text, row))

    def _show_examples(self) -> None:
        table, found = self.query_one("#examples", DataTable), self.comparison
        table.clear(columns=True)
        head = ""
        if found is not None:
            counts = ", ".join(f"{n} {verdict}" for verdict, n in found.counts.items())
            head = f"Questions: {counts}" + (f" · shown: {self._verdict}" if self._verdict else "")
            columns = ("", "question", "expected", "the plan", found.against)
            table.add_columns(*map(Text, columns))
            for example in found.of(self._verdict):
                cells = (example.verdict, example.question, example.expected, example.answer, example.other)
                table.add_row(*(Text(" ".join(c.split())[:60]) for c in cells))
        self.query_one("#examples-head", Static).update(Content(head))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show an example in full."""
        event.stop()
        found = self.comparison
        if event.data_table.id == "examples" and found is not None:
            examples: tuple[Example, ...] = found.of(self._verdict)
            if event.cursor_row < len(examples):
                text = example_text(examples[event.cursor_row], found.against)
                self.app.push_screen(PageModal("A question", text))

    # --- keys

    def action_filter(self) -> None:
        """Show all, those won, lost, or equal."""
        self._verdict = _VERDICTS[(_VERDICTS.index(self._verdict) + 1) % len(_VERDICTS)]
        self._show_examples()

    def action_baseline(self) -> None:
        """Compare with the next baseline."""
        if self.record is None or self._run_dir is None:
            return
        known = baselines(self.record)
        if not known:
            self.show_error(InputError("this run measured no baseline", "run a plan to its end"))
            return
        now = self.comparison.against if self.comparison is not None else known[0]
        self._against = known[(known.index(now) + 1) % len(known)] if now in known else known[0]
        self._read(self._run_dir)

    def action_report(self) -> None:
        """Write the report and open it."""
        if self.record is None or self._run_dir is None:
            self.show_error(InputError("there is nothing to report yet", "start a run in Run (6)"))
            return
        place, run_dir, served = self.session.place, self._run_dir, self.app.is_web
        if place is None:
            return
        self.say("writing the report …")

        def work() -> Message:
            path = write_report(place, run_dir)
            return self.Written(path, not served and open_page(path))

        self.background(work, group="report")

    def on_results_screen_written(self, event: Written) -> None:
        """Tell where the report is."""
        self.say(f"written to {event.path}" + (", and opened in the browser" if event.shown else ""))
        self.session.did("report", event.path.parent.name, "--format", "html", "-o", event.path)

    def action_sweep(self) -> None:
        """Show the last sweep."""
        found = self._sweep
        if found is None or not found.text:
            self.show_error(InputError("no sweep was made here", "kistack sweep measures the combinations"))
            return
        self.session.did("sweep", "--show", found.sweep)
        self.app.push_screen(PageModal("The last sweep", found.text))

    def action_runs(self) -> None:
        """Choose another run."""
        place = self.session.place
        if place is None:
            return
        project = place.project
        runs = [r for r in list_runs(project.runs) if r.status != "running"]
        if not runs:
            self.say("No run has ended yet.")
            return

        def take(run: str | None) -> None:
            if run:
                self._against = ""
                self.session.run_dir = project.run_folder(run)
                self.say("")
                self._read(self.session.run_dir)

        self.app.push_screen(ChoiceModal("Runs", run_lines(runs), "run", project.run_folder), take)
