"""Start: open the project of this folder, a recent one, or make one. Nothing heavy is loaded for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from kistack.errors import InputError
from kistack.tui.opening import DEMO_FOLDER, SCENARIO_FILE, Form, guess, load_place, make_demo, make_project, project_at
from kistack.tui.recent import recent, remember
from kistack.tui.screens.base import WizardScreen
from kistack.tui.screens.modals import Field, FormModal, Values

if TYPE_CHECKING:
    from kistack.bundle.workspace import Workspace

_ABOUT = """\
Which combination of retrieval, distillation, LoRA and quantization should answer your questions, on your machine, as \
your documents change? kistack measures, advises with reasons, builds it, and proves it against doing nothing.

  1 Start           a project: documents, questions with answers, a model
  2 Profile         what is known of machine, documents, pairs and models
  3 Goals           what is good enough, and what it may cost
  4 Recommendation  every combination, judged, with what would change it
  5 Compose         the plan, step by step
  6 Run             built in workers, watched live
  7 Results         measured beside doing nothing
  8 Ask             put questions to what was built

Nothing leaves this machine, and no file of yours is written unless you say so."""


class StartScreen(WizardScreen):
    """The first step."""

    STEP = "start"
    HELP = """\
Open a project, or make one. A project is a folder with a kistack.yaml, which says where the documents, the pairs of \
question and answer and the model are. Everything kistack makes lies in .kistack beside it.

Making a project writes kistack.yaml and nothing else; one that is there is never overwritten."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "choose('make')", "New project"),
        Binding("d", "choose('demo')", "Demo"),
        Binding("f", "choose('folder')", "Other folder"),
    ]
    CSS = """
    StartScreen #about { width: 1fr; height: 1fr; padding: 0 0 0 2; }
    StartScreen #ways { width: 1fr; height: 1fr; border: none; }
    StartScreen.-wide #ways { width: 48%; }
    StartScreen.-narrow #start { layout: vertical; }
    StartScreen.-narrow #about { padding: 1 0 0 0; height: 13; }
    StartScreen.-narrow #ways { height: 1fr; }
    """

    class Opened(Message):
        """A project was read."""

        def __init__(self, place: Workspace, *, go: bool) -> None:
            super().__init__()
            self.place = place
            self.go = go

    class Made(Message):
        """A project was written."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    def __init__(self) -> None:
        super().__init__()
        self._looked = False

    def compose_body(self) -> ComposeResult:
        """The ways to begin, and what the wizard is."""
        with Horizontal(id="start"):
            yield OptionList(id="ways")
            with VerticalScroll(id="about", can_focus=False):
                yield Static(Content(_ABOUT))

    def on_mount(self) -> None:
        """Begin with the list."""
        self.query_one("#ways").focus()

    def entered(self) -> None:
        """List the ways to begin; at first open the project that is here, if there is one."""
        here = project_at(self.session.folder)
        ways = self.query_one("#ways", OptionList)
        marked = ways.highlighted
        ways.clear_options()
        for name, line in self._ways(here):
            ways.add_option(Option(line, id=name))
        ways.highlighted = marked if marked is not None and marked < ways.option_count else 0
        if not self._looked:
            self._looked = True
            if here is not None and self.session.place is None:
                self.say(f"reading {here / SCENARIO_FILE} …")
                # Reading it loads more than the first frame should wait for.
                self.call_after_refresh(self._open, here, go=False)
            elif here is None:
                self.say(f"no {SCENARIO_FILE} in {self.session.folder} or above it: make a project, or try the demo")

    def _ways(self, here: Path | None) -> list[tuple[str, Content]]:
        ways: list[tuple[str, Content]] = []

        def add(name: str, title: str, told: str) -> None:
            ways.append((name, Content.assemble((title, "bold"), "\n  ", (told, "dim"))))

        place = self.session.place
        if here is not None:
            name = f"{place.scenario.name}: " if place is not None and place.project.root == here else ""
            add("open", f"Go on with {name}{here.name}", str(here))
        else:
            add("make", "Make a project of this folder", "from a folder of documents and a file of questions (n)")
        add("demo", "Try the demo: release desk", f"a small project with a small model, in {DEMO_FOLDER} here (d)")
        add("folder", "Open another folder", "a project there, or make one of it (f)")
        for number, known in enumerate(recent()):
            if here is None or Path(known.folder) != here:
                add(f"recent-{number}", f"Recent: {known.name}", known.folder)
        return ways

    # --- choosing

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Begin as chosen."""
        self.action_choose(event.option.id or "")

    def action_choose(self, way: str) -> None:
        """Begin in one of the ways."""
        if way == "open":
            here = project_at(self.session.folder)
            place = self.session.place
            if place is not None and here == place.project.root:
                self.wizard.action_go("profile")
            elif here is not None:
                self._open(here, go=True)
        elif way == "make":
            self._ask_form(self.session.folder)
        elif way == "demo":
            self.say("making the demo …")
            folder = self.session.folder
            self.background(lambda: self.Made(make_demo(folder)), group="project")
            self.session.did("demo", "--project-only", "--folder", folder / DEMO_FOLDER, project=False)
        elif way == "folder":
            self._ask_folder()
        elif way.startswith("recent-"):
            known = recent()
            number = int(way.removeprefix("recent-"))
            if number < len(known):
                self._open(Path(known[number].folder), go=True)

    def _open(self, folder: Path, *, go: bool) -> None:
        host = self.session.host
        self.background(lambda: self.Opened(load_place(folder, host), go=go), group="project")

    def _ask_folder(self) -> None:
        def check(values: Mapping[str, str]) -> None:
            if not values["folder"].strip() or not Path(values["folder"]).expanduser().is_dir():
                raise InputError(f"{values['folder']!r} is not a folder", "write the path of one")

        def take(values: Values | None) -> None:
            if values is not None:
                folder = Path(values["folder"]).expanduser().absolute()
                if project_at(folder) is not None:
                    self._open(folder, go=True)
                else:
                    self._ask_form(folder)

        field = Field(
            "folder", "Folder", str(self.session.folder), "one with a kistack.yaml, or of documents and pairs"
        )
        self.app.push_screen(FormModal("Open another folder", [field], check), take)

    def _ask_form(self, folder: Path) -> None:
        found = guess(folder)
        fields = [
            Field("name", "Name", found.name),
            Field(
                "documents", "Documents", found.documents, "a folder or file, from here: text, Markdown, HTML, JSONL, …"
            ),
            Field("pairs", "Pairs", found.pairs, "JSONL or CSV with question and answer"),
            Field("base", "Model", found.base, "package:NAME, hub:ORG/NAME, a folder, or a .gguf file"),
            Field("embedder", "Embedder", found.embedder, "finds passages; empty: no retrieval by meaning"),
        ]

        def take(values: Values | None) -> None:
            if values is not None:
                self.say(f"{folder / SCENARIO_FILE} written")
                self.session.did("init", folder, *(w for n, v in values.items() for w in (f"--{n}", v)), project=False)
                self._open(folder, go=True)

        note = f"Writes {folder / SCENARIO_FILE}, commented, to be edited later."
        modal = FormModal("Make a project", fields, lambda values: make_project(folder, Form(**values)), note)
        self.app.push_screen(modal, take)

    # --- what came of it

    def on_start_screen_made(self, event: Made) -> None:
        """Open what was made."""
        self._open(event.folder, go=True)

    def on_start_screen_opened(self, event: Opened) -> None:
        """Work with the project that was read."""
        place = event.place
        self.session.use(place)
        remember(self.session.folder, place.scenario.name)
        problems = place.host.problems
        self.say("\n".join(f"warning: {line}" for line in problems) or f"{place.scenario.name} is open: enter goes on")
        self.entered()
        self.wizard.prepare()
        if event.go:
            self.wizard.action_go("profile")
