"""Ask: a conversation with a bundle, or with two of them side by side; answers come from processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, OptionList, Static

from kistack.bundle.chat import Answered, Chat, Part, Piece, Sources
from kistack.bundle.manifest import BUNDLE_FOLDER, read_manifest
from kistack.errors import InputError, KistackError
from kistack.execution.detach import list_runs
from kistack.tui.results_view import bundle_of, run_lines
from kistack.tui.screens.base import WizardScreen, told
from kistack.tui.screens.modals import ChoiceModal, PageModal
from kistack.tui.widgets.conversation import Conversation, passage_text


class AskScreen(WizardScreen):
    """The eighth step."""

    STEP = "ask"
    HELP = """\
Put questions to what was built. Answers come as they are made, with the passages they were given below: choose one \
and press enter to read it in full.

c puts a second bundle beside the first: both get each question. escape leaves the line, so that keys are commands \
again; i goes back to it. Loading a model takes its time with the first question and happens in a process of its own."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "write", "Write"),
        Binding("b", "bundle", "Bundle"),
        Binding("c", "compare", "Compare"),
        Binding("o", "sources", "Sources"),
        Binding("escape", "leave_field", "Commands", key_display="esc"),
    ]
    CSS = """
    AskScreen #talks { height: 1fr; }
    AskScreen.-narrow #talks { layout: vertical; }
    AskScreen #none { height: 1fr; content-align: center middle; color: $text-muted; }
    AskScreen #question { height: 3; }
    """

    class PartCame(Message):
        """A part of an answer came."""

        def __init__(self, talk: Conversation, part: Part) -> None:
            super().__init__()
            self.talk = talk
            self.part = part

    class AnswerFailed(Message):
        """There is no answer."""

        def __init__(self, talk: Conversation, error: KistackError) -> None:
            super().__init__()
            self.talk = talk
            self.error = error

    def compose_body(self) -> ComposeResult:
        """Conversations beside each other above the line to write in."""
        with Horizontal(id="talks"):
            yield Static("No bundle yet: a run leaves one. b chooses another.", id="none")
        yield Input(placeholder="a question, then enter", id="question")

    @property
    def talks(self) -> list[Conversation]:
        """The conversations, from the left."""
        return list(self.query(Conversation))

    def entered(self) -> None:
        """Talk to the bundle at hand: the session's, else the last run's."""
        session = self.session
        if session.place is None:
            return
        if session.bundle is None:
            found = [b for r in list_runs(session.place.project.runs) if (b := bundle_of(r.folder)) is not None]
            session.bundle = found[-1] if found else None
        talks = self.talks
        if session.bundle is None:
            self.query(Conversation).remove()
            self.query_one("#none").display = True
        if session.bundle is not None and (not talks or talks[0].folder != session.bundle):
            self.run_worker(self._open(session.bundle, 0), group="open", exclusive=True)

    def on_mount(self) -> None:
        """Begin with the line to write in."""
        self.query_one("#question", Input).focus()

    async def _open(self, folder: Path, place: int) -> None:
        """Put a bundle at the left or the right."""
        if not self.query("#none"):  # the wizard is being left: nothing stands here any more
            return
        with self.telling():
            talk = Conversation(folder)
            talks = self.talks
            self.query_one("#none").display = False
            if place < len(talks):
                await self.query_one("#talks").mount(talk, before=talks[place])
                await talks[place].remove()
            else:
                await self.query_one("#talks").mount(talk)

    # --- asking

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Put the question to every bundle."""
        event.stop()
        question, talks = event.value.strip(), self.talks
        if not talks:
            self.show_error(InputError("there is no bundle to ask", "run a plan first, or choose one with b"))
            return
        if not question:
            self.show_error(InputError("the question is empty", "write a question"))
            return
        if any(t.busy for t in talks):
            self.show_error(InputError("an answer is still coming", "wait for it"))
            return
        self.say("")
        event.input.value = ""
        for talk in talks:
            await talk.ask(question)
            self.session.did("ask", talk.folder, question)
            self.run_worker(
                partial(self._answer, talk, talk.chat, question), thread=True, group="answer", exit_on_error=False
            )

    def _answer(self, talk: Conversation, chat: Chat, question: str) -> None:
        """Pass on what comes; runs in a thread."""
        try:
            for part in chat.ask(question):
                self.post_message(self.PartCame(talk, part))
        except Exception as error:  # noqa: BLE001 - a thread must not take the wizard down
            self.post_message(self.AnswerFailed(talk, told(error)))

    async def on_ask_screen_part_came(self, event: PartCame) -> None:
        """Show a part of an answer."""
        talk = event.talk
        if not talk.is_attached:
            return
        match event.part:
            case Sources(passages):
                talk.source(passages)
            case Piece(text):
                talk.add(text)
            case Answered(seconds):
                await talk.end(seconds)

    def on_ask_screen_answer_failed(self, event: AnswerFailed) -> None:
        """Show why there is no answer."""
        if event.talk.is_attached:
            event.talk.fail(event.error)

    def on_conversation_passage_chosen(self, event: Conversation.PassageChosen) -> None:
        """Show a passage in full."""
        self.app.push_screen(PageModal("A source", passage_text(event.number, event.passage)))

    # --- keys

    def action_write(self) -> None:
        """Go to the line."""
        self.query_one("#question", Input).focus()

    def action_leave_field(self) -> None:
        """Leave the line, so that keys are commands."""
        self.set_focus(None)

    def action_sources(self) -> None:
        """Go to the sources of the last answer."""
        talk = next((t for t in self.talks if t.passages), None)
        if talk is None:
            self.say("The last answer was given no passages.")
        else:
            sources = talk.query_one(OptionList)
            sources.focus()
            sources.highlighted = sources.highlighted or 0

    def action_bundle(self) -> None:
        """Choose what to talk to."""

        def take(folder: Path) -> None:
            self.session.bundle = folder
            self.run_worker(self._open(folder, 0), group="open", exclusive=True)

        self._choose("Talk to", take)

    async def action_compare(self) -> None:
        """Put a second bundle beside the first, or take it away."""
        talks = self.talks
        if len(talks) > 1:
            await talks[1].remove()
            return
        if not talks:
            self.action_bundle()
            return
        self._choose(
            "Compare with", lambda folder: self.run_worker(self._open(folder, 1), group="open", exclusive=True)
        )

    def _choose(self, title: str, then: Callable[[Path], object]) -> None:
        place = self.session.place
        if place is None:
            return
        project = place.project
        runs = [r for r in list_runs(project.runs) if bundle_of(r.folder) is not None]

        def found(text: str) -> Path:
            """The bundle of a run of that id, or the folder itself."""
            if text in {r.run for r in runs}:
                return project.run_folder(text) / BUNDLE_FOLDER
            folder = Path(text).expanduser()
            folder = folder if folder.is_absolute() else project.root / folder
            read_manifest(folder)
            return folder

        def take(text: str | None) -> None:
            if text:
                with self.telling():
                    then(found(text))

        self.app.push_screen(ChoiceModal(title, run_lines(runs), "a bundle's folder", found), take)
