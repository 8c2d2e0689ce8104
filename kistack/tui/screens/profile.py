"""Profile: facts as they come, each with its source; the documents as a tree; how fresh they must be kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Static, Tree
from textual.widgets.tree import TreeNode

from kistack.errors import KistackError
from kistack.tui.facts import MARKS, Branch, FactRow, corpus_tree, sections, tally, timeline
from kistack.tui.plots import draw_timeline
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import ChoiceModal, Field, FormModal, Values
from kistack.tui.stating import adopt, describe, save, stated, value_text
from kistack.tui.widgets.plot import Plot
from kistack.units import format_size

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

#: Entries of one folder that are listed.
_LISTED = 200
_PANES = ("facts", "corpus", "fresh")
_OPEN = 40


class ProfileScreen(WizardScreen):
    """The second step."""

    STEP = "profile"
    HELP = """\
What is known of machine, documents, pairs and models: each fact with its source. ✓ measured: kistack looked itself. \
✎ declared: you said so. ? assumed: from a table or a default, because nobody said or measured it; the last column \
says which.

Enter on a fact that is yours to say (marked ▸) changes it; t chooses the machine that serves. Changes count at once \
and are written into kistack.yaml only by s, which leaves your other lines and comments as they are. On a narrow \
terminal v goes from facts to documents to freshness."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "edit", "Change", show=False),
        Binding("t", "target", "Target"),
        Binding("r", "measure", "Measure"),
        Binding("s", "save", "Save"),
        Binding("v", "view", "View"),
    ]
    CSS = """
    ProfileScreen #facts { width: 1fr; height: 1fr; }
    ProfileScreen #side { width: 40%; height: 1fr; padding: 0 0 0 1; }
    ProfileScreen #corpus { height: 2fr; background: $background; }
    ProfileScreen #fresh { height: 3fr; border-top: solid $panel; border-title-color: $text; }
    ProfileScreen #tally { height: 1; color: $text-muted; }
    ProfileScreen.-narrow #side { width: 1fr; padding: 0; }
    ProfileScreen.-narrow.-facts #side { display: none; }
    ProfileScreen.-narrow.-corpus #facts { display: none; }
    ProfileScreen.-narrow.-corpus #fresh { display: none; }
    ProfileScreen.-narrow.-fresh #facts { display: none; }
    ProfileScreen.-narrow.-fresh #corpus { display: none; }
    """

    class Looked(Message):
        """The files of the corpus were listed and the dates of its documents read."""

        def __init__(self, place: Workspace, trees: list[Branch], dates: list[dt.date]) -> None:
            super().__init__()
            self.place = place
            self.trees = trees
            self.dates = dates

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[FactRow | None] = []
        self._shown: object = None
        self._looked_at: object = None
        self._dates: list[dt.date] = []

    def compose_body(self) -> ComposeResult:
        """The table of facts; the tree and the plot beside it."""
        yield Static("", id="tally")
        with Horizontal():
            yield DataTable[Text](id="facts", cursor_type="row", zebra_stripes=False)
            with Vertical(id="side"):
                yield Tree[None]("documents", id="corpus")
                yield Plot(id="fresh")

    def on_mount(self) -> None:
        """Set the columns, begin with the facts."""
        self.add_class("-facts")
        self.query_one(DataTable).focus()

    def entered(self) -> None:
        """Show the facts that are known, and ask for the others."""
        self.wizard.prepare()
        self._look()
        self.refreshed()

    def refreshed(self) -> None:
        """Show the facts that are known now."""
        facts = self.session.facts
        waiting = "" if self.session.profile is not None else " · measuring …"
        unsaved = f" · not saved: {', '.join(self.session.changes)}" if self.session.changes else ""
        self.query_one("#tally", Static).update(Content(f"{tally(facts) or 'no facts yet'}{waiting}{unsaved}"))
        if self._shown is not facts:
            self._shown = facts
            self._show_facts()
            self._plot()

    # --- facts

    def _show_facts(self) -> None:
        table = self.query_one("#facts", DataTable)
        at, top = table.cursor_row, table.scroll_y
        table.clear(columns=True)
        for label, width in (("fact", 24), ("value", 18), ("source", 10), ("why", None)):
            table.add_column(label, width=width)
        self._rows = []
        for heading, rows in sections(self.session.facts):
            table.add_row(Text(heading, "bold"), "", "", "")
            self._rows.append(None)
            for row in rows:
                mark = "▸ " if row.key else "  "
                # Plain text: what facts say is no markup.
                table.add_row(*map(Text, (mark + row.name, row.value, f"{MARKS[row.source]} {row.source}", row.why)))
                self._rows.append(row)
        if 0 < at < table.row_count:
            table.move_cursor(row=at, animate=False, scroll=False)
            table.scroll_to(y=top, animate=False)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Tell how the fact came about, which the table may cut off."""
        row = self._rows[event.cursor_row] if 0 <= event.cursor_row < len(self._rows) else None
        if row is not None:
            can = f" · enter changes {row.key}" if row.key else ""
            self.say(f"{row.fact} = {row.value}, {row.source}: {row.why}{can}")

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Change the fact under the cursor."""
        self.action_edit()

    def action_edit(self) -> None:
        """Change the fact under the cursor, where it is the user's to say."""
        at = self.query_one("#facts", DataTable).cursor_row
        row = self._rows[at] if 0 <= at < len(self._rows) else None
        scenario = self.session.scenario
        if row is None or scenario is None:
            return
        if not row.key:
            self.say(f"{row.fact} is {row.source}, not yours to say; r measures again")
            return
        now = self.session.changes.get(row.key, value_text(scenario, row.key))
        field = Field("value", "Value", now, describe(row.key))

        def check(values: Mapping[str, str]) -> None:
            stated(self.session, {row.key: values["value"]})

        def take(values: Values | None) -> None:
            if values is not None and values["value"] != now:
                self._adopt({row.key: values["value"]})

        note = "Nothing is written until you save (s)."
        self.app.push_screen(FormModal(f"Change {row.key}", [field], check, note), take)

    def _adopt(self, changes: dict[str, str]) -> None:
        with self.telling():
            adopt(self.session, changes)
            self.say(f"{', '.join(changes)} changed, not saved yet")
        self.entered()

    # --- machines

    def action_target(self) -> None:
        """Choose the machine that serves."""
        from kistack.domain.devices import presets

        choices = [("this", "this machine, as it is measured")]
        for key, preset in presets().items():
            free = format_size(preset.gpu_free or preset.ram_free, 3)
            choices.append((key, f"{key}: {preset.title}, {free} free for a model"))

        def check(value: str) -> None:
            stated(self.session, {"serve_on": value})

        def take(value: str | None) -> None:
            if value is not None:
                self._adopt({"serve_on": value})

        if self.session.saved is not None:
            self.app.push_screen(ChoiceModal("Which machine serves?", choices, "or a file", check), take)

    def action_measure(self) -> None:
        """Measure again instead of using what was kept."""
        self.say("measuring again …")
        self._looked_at = None
        self.wizard.prepare(refresh=True)
        self.entered()

    def action_save(self) -> None:
        """Write the changes into kistack.yaml."""
        with self.telling():
            self.say(f"saved: {save(self.session)}")
            self.refreshed()

    def action_view(self) -> None:
        """On a narrow terminal, show the next of facts, documents and freshness."""
        now = next(n for n, pane in enumerate(_PANES) if self.has_class(f"-{pane}"))
        self.remove_class(f"-{_PANES[now]}")
        then = _PANES[(now + 1) % len(_PANES)]
        self.add_class(f"-{then}")
        self.query_one(f"#{then}").focus()

    # --- documents

    def _look(self) -> None:
        place = self.session.place
        if place is None:
            return
        key = (place.project.root, place.scenario.knowledge)
        if self._looked_at != key:
            self._looked_at = key
            self.background(lambda: _look(place), group="look")

    def on_profile_screen_looked(self, event: Looked) -> None:
        """Show the documents."""
        if self.session.place is None or event.place.project.root != self.session.place.project.root:
            return
        self._dates = event.dates
        tree = self.query_one("#corpus", Tree)
        tree.clear()
        total, files = sum(b.size for b in event.trees), sum(b.files for b in event.trees)
        tree.root.set_label(Text(f"documents  {format_size(total, 3)}, {files} files"))
        trees = event.trees if len(event.trees) > 1 else [b for t in event.trees for b in t.branches[:_LISTED]]
        for branch in trees:
            _grow(tree.root, branch)
        tree.root.expand()
        self._plot()

    def _plot(self) -> None:
        plot = self.query_one("#fresh", Plot)
        found = timeline(self.session.facts, self._dates)
        if found is not None:
            draw_timeline(plot.plt, found, plot.size.width or 60)
            plot.border_title = found.title
            plot.refresh()

    def on_resize(self, event: Resize) -> None:
        """The plot's labels depend on its width."""
        if event.size == self.app.size:
            self.call_after_refresh(self._plot)


def _look(place: Workspace) -> ProfileScreen.Looked:
    """List the files of the corpus and read the dates of its documents; runs in a thread."""
    from kistack.profiling.corpus import files_of, load_corpus

    trees = []
    for part in place.scenario.knowledge.corpus:
        root = part.path if part.path.is_dir() else part.path.parent
        files = [(f.relative_to(root).parts, f.stat().st_size) for f in files_of(part.path)]
        trees.append(corpus_tree(part.name, files))
    try:
        dates = [d.date for d in load_corpus(place.scenario).documents if d.date is not None]
    except KistackError:
        dates = []  # profiling tells what is wrong with them
    return ProfileScreen.Looked(place, trees, dates)


def _grow(node: TreeNode[None], branch: Branch) -> None:
    """A folder with what lies in it; of many files the largest are listed."""
    size = format_size(branch.size, 3)
    if branch.inner is None:
        node.add_leaf(Text(f"{branch.name}  {size}"))
        return
    folder = node.add(Text(f"{branch.name}/  {size}, {branch.files} files"), expand=branch.files <= _OPEN)
    shown = branch.branches[:_LISTED]
    for inner in shown:
        _grow(folder, inner)
    if len(branch.branches) > len(shown):
        folder.add_leaf(f"and {len(branch.branches) - len(shown)} more")
