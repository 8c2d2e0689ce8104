"""Recommendation: every combination judged, with reasons, what rejects it, and what would change the choice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Static

from kistack.errors import InputError
from kistack.tui.board import (
    COLUMNS,
    COSTS,
    TOGGLES,
    Row,
    cells,
    dots,
    fitting,
    rows,
    toggled,
    toggling,
    with_techniques,
)
from kistack.tui.plots import draw_dots, legend
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import Field, FormModal, LinesModal, PageModal, Values
from kistack.tui.telling import changes_of, flip_lines, free_name, reason_lines, what_if_text, write_plan
from kistack.tui.widgets.plot import Plot

if TYPE_CHECKING:
    from kistack.advisor.judging import Bench
    from kistack.domain.advice import Recommendation

_SCROLLBAR = 2
#: Cells beside the text of a page over the screen.
_AROUND_PAGE = 12
_PANES = ("reasons", "plot", "flips")


class RecommendationScreen(WizardScreen):
    """The fourth step."""

    STEP = "recommendation"
    HELP = """\
The best candidate of each combination of retrieve, distill, tune and quantize (R D T Q): the kept ones best first, \
then those that a limit or rule rejects. Points are expected quality, 0 to 100, with the interval that holds the truth \
with 80 %. "To fresh" is the time to bring it up to date once documents and pairs changed.

r d t q put a technique in or take it out, and say what that changes. w asks what if: other values of any key or fact, \
nothing is written. c changes the cost that the plot shows. Below reasons and plot stands what would flip the choice; \
on a narrow terminal v goes from one to the other.

Enter takes the plan of the row to Compose; o writes it to a file. ★ recommended, ◆ none beats it in everything, \
✗ rejected."""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(letter, f"technique('{letter}')", kind, show=False) for letter, kind in TOGGLES.items()),
        Binding("enter", "take", "Take", show=False),
        Binding("o", "write", "Write plan"),
        Binding("w", "what_if", "What if"),
        Binding("c", "cost", "Cost"),
        Binding("v", "view", "View"),
    ]
    CSS = """
    RecommendationScreen #sets { width: 1fr; height: 1fr; }
    RecommendationScreen #side { width: 40%; height: 1fr; padding: 0 0 0 1; }
    RecommendationScreen #plot { height: 2fr; border-top: solid $panel; border-title-color: $text; }
    RecommendationScreen #reasons { height: 2fr; border-top: solid $panel; }
    RecommendationScreen #flips { height: 1fr; border-top: solid $panel; }
    RecommendationScreen.-narrow #board { layout: vertical; }
    RecommendationScreen.-narrow #sets { height: 11; width: 1fr; }
    RecommendationScreen.-narrow #side { width: 1fr; height: 1fr; padding: 0; }
    RecommendationScreen.-narrow #side > * { display: none; height: 1fr; }
    RecommendationScreen.-narrow.-reasons #reasons { display: block; }
    RecommendationScreen.-narrow.-plot #plot { display: block; }
    RecommendationScreen.-narrow.-flips #flips { display: block; }
    """

    class FlipsFound(Message):
        """What would change the choice was looked for."""

        def __init__(self, bench: Bench, advice: Recommendation) -> None:
            super().__init__()
            self.bench = bench
            self.advice = advice

    class WhatIfAnswered(Message):
        """A what-if was judged."""

        def __init__(self, text: str, changes: dict[str, str]) -> None:
            super().__init__()
            self.text = text
            self.changes = changes

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[Row, ...] = ()
        self._shown: object = None
        self._sought: object = None
        self._cost = 0
        self._asked = ""

    def compose_body(self) -> ComposeResult:
        """The table; plot, reasons and flips beside it."""
        with Horizontal(id="board"):
            yield DataTable[Text](id="sets", cursor_type="row", zebra_stripes=False)
            with Vertical(id="side"):
                yield Plot(id="plot")
                with VerticalScroll(id="reasons"):
                    yield Static("", id="reasons-text")
                with VerticalScroll(id="flips"):
                    yield Static("", id="flips-text")

    def on_mount(self) -> None:
        """Begin with the table."""
        self.add_class("-reasons")
        self.query_one(DataTable).focus()

    def entered(self) -> None:
        """Show the candidates, and look for what would change the choice."""
        self.wizard.prepare()
        session = self.session
        if session.bench is None:
            self.say("measuring and composing …")
            return
        if session.advice is None:
            from kistack.advisor.recommend import recommended

            with self.telling():
                session.advice = recommended(session.bench)
        if self._shown is not session.bench:
            self._shown = session.bench
            self._rows = rows(session.bench.judgement, session.bench)
            self._fill()
            self._seek()
            self.say("")
            self._note()

    def _note(self) -> None:
        session = self.session
        session.did("advise", *(word for k, v in session.changes.items() for word in ("--set", f"{k}={v}")))

    # --- the table

    def _fill(self, at: int = 0) -> None:
        table = self.query_one("#sets", DataTable)
        table.clear(columns=True)
        shown = fitting(self._rows, (table.size.width or self.size.width) - _SCROLLBAR)
        for n in shown:
            table.add_column(COLUMNS[n])
        for row in self._rows:
            texts = cells(row)
            style = "bold" if row.best else "" if row.candidate.kept else "dim"
            table.add_row(*(Text(texts[n], style) for n in shown))
        if self._rows:
            table.move_cursor(row=min(at, len(self._rows) - 1))
        self._describe()

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        at = self.query_one("#sets", DataTable).cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the reasons of the row."""
        self._describe()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Take the plan of the row."""
        self.action_take()

    def on_resize(self, event: Resize) -> None:
        """Show as many columns as there is room for."""
        if self._rows and event.size == self.app.size:
            self.call_after_refresh(lambda: self._fill(self.query_one("#sets", DataTable).cursor_row))

    def _describe(self) -> None:
        row, bench = self.row, self.session.bench
        if row is None or bench is None:
            return
        head, *others = reason_lines(row)
        self.query_one("#reasons-text", Static).update(Content.assemble((head, "bold"), "\n", "\n".join(others)))
        self.call_after_refresh(self._plot)

    def _plot(self) -> None:
        bench = self.session.bench
        if bench is not None:
            plot = self.query_one("#plot", Plot)
            found = dots(bench.judgement, self._cost, self.row)
            draw_dots(plot.plt, found, plot.size.width or 60)
            plot.border_title = legend(found)
            plot.refresh()

    # --- keys

    def action_technique(self, letter: str) -> None:
        """Put a technique in or take it out: go to that combination, and say what it changes."""
        row = self.row
        if row is None:
            return
        after = with_techniques(self._rows, toggled(row, letter))
        if after is not None:
            self.query_one("#sets", DataTable).move_cursor(row=self._rows.index(after))
        self.say(toggling(row, letter, after))

    def action_cost(self) -> None:
        """Show quality against the next cost."""
        self._cost = (self._cost + 1) % len(COSTS)
        self._plot()

    def action_view(self) -> None:
        """On a narrow terminal, show the next of reasons, plot and flips."""
        now = next(n for n, pane in enumerate(_PANES) if self.has_class(f"-{pane}"))
        self.remove_class(f"-{_PANES[now]}")
        self.add_class(f"-{_PANES[(now + 1) % len(_PANES)]}")
        self.call_after_refresh(self._plot)

    def action_take(self) -> None:
        """Take the plan of the row to the next step."""
        row = self.row
        if row is None:
            return
        if not row.known:
            self.say(f"error: {row.name} cannot be composed: {row.candidate.rejections[0].needs}")
            return
        if self.session.plan != row.candidate.plan:
            self.session.plan, self.session.plan_file = row.candidate.plan, None
        self.wizard.action_go("compose")

    def action_write(self) -> None:
        """Write the plan of the row to a file."""
        row, session = self.row, self.session
        if row is None or not row.known:
            self.show_error(InputError("this row has no plan to write", "choose one that can be composed"))
            return
        candidate = row.candidate

        def take(values: Values | None) -> None:
            if values is None:
                return
            session.plan, session.plan_file = candidate.plan, session.folder / values["file"]
            if row.best and not session.changes:
                session.did("advise", "-o", session.plan_file)
            self.say(f"written: {session.plan_file}")

        field = Field("file", "File", free_name(session.folder), "in the project's folder; one that is there stays")
        check = partial(_write, self, candidate.plan)
        self.app.push_screen(FormModal(f"Write the plan of {row.name}", [field], check), take)

    # --- in threads

    def _seek(self) -> None:
        """Look for what would change the choice, on candidates of its own: the others are judged meanwhile."""
        bench = self.session.bench
        if bench is None or self._sought is bench:
            return
        self._sought = bench
        self.query_one("#flips-text", Static).update(Content("What would change it: looking …"))
        self.background(lambda: _flips(bench), group="flips")

    def on_recommendation_screen_flips_found(self, event: FlipsFound) -> None:
        """Show what would change the choice."""
        if event.bench is self.session.bench:
            self.session.advice = event.advice
            head, *others = flip_lines(event.advice)
            self.query_one("#flips-text", Static).update(Content.assemble((head, "bold"), "\n", "\n".join(others)))

    def action_what_if(self) -> None:
        """Ask what would be under other values; nothing is written."""
        session = self.session
        place, profile, scenario = session.place, session.profile, session.scenario
        if place is None or profile is None or scenario is None:
            self.say("measuring and composing …")
            return

        def take(text: str | None) -> None:
            if text is None:
                return
            self._asked = text
            changes = changes_of(text, scenario, profile)
            self.say("judging …")
            # A statement of its own: the place at hand stays free for what comes next.
            other = place.restated(scenario, profile)
            width = self.app.size.width - _AROUND_PAGE
            self.background(
                lambda: self.WhatIfAnswered(what_if_text(other.advise(changes=changes), width), changes),
                group="what-if",
            )

        note = "One KEY=VALUE a line: keys of kistack.yaml (limits.memory=2GiB) and facts (pairs.train=50)."
        modal = LinesModal("What if?", note, self._asked, lambda text: changes_of(text, scenario, profile))
        self.app.push_screen(modal, take)

    def on_recommendation_screen_what_if_answered(self, event: WhatIfAnswered) -> None:
        """Show what would be."""
        self.say("")
        changes = {**self.session.changes, **event.changes}
        self.session.did("advise", *(word for k, v in changes.items() for word in ("--set", f"{k}={v}")))
        if self.app.screen is self:
            self.app.push_screen(PageModal("What if", event.text))


def _write(screen: RecommendationScreen, plan: object, values: Values) -> None:
    from kistack.domain.plan import Plan

    assert isinstance(plan, Plan)
    write_plan(screen.session.folder / values["file"].strip(), plan)


def _flips(bench: Bench) -> RecommendationScreen.FlipsFound:
    """Look for flips on a bench of its own; runs in a thread."""
    from kistack.advisor.judging import Bench as Fresh
    from kistack.advisor.recommend import explained

    own = Fresh(bench.scenario, bench.profile, bench.host, bench.calibration)
    return RecommendationScreen.FlipsFound(bench, explained(own))
