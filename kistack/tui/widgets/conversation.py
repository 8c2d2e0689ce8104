"""One bundle's side of a conversation: questions, answers as they come, and the passages they were given."""

from __future__ import annotations

import threading
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from kistack.bundle.chat import Chat
from kistack.domain.prompt import Passage
from kistack.errors import KistackError
from kistack.reporting.numbers import shown


class Conversation(Vertical):
    """What was asked of one bundle. It shows; the screen asks.

    Args:
        folder: the bundle's folder.
    """

    DEFAULT_CSS = """
    Conversation { width: 1fr; height: 1fr; border: round $panel; padding: 0 1; }
    Conversation:focus-within { border: round $primary; }
    Conversation > .talk { height: 1fr; }
    Conversation .question { text-style: bold; margin-top: 1; }
    Conversation .took { color: $text-muted; }
    Conversation .fault { color: $error; }
    Conversation > OptionList { height: auto; max-height: 7; border: none; display: none; background: $surface; }
    Conversation > OptionList.-some { display: block; }
    """

    class PassageChosen(Message):
        """The user wants to read a passage in full."""

        def __init__(self, number: int, passage: Passage) -> None:
            super().__init__()
            self.number = number
            self.passage = passage

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.chat = Chat(folder)
        self.passages: tuple[Passage, ...] = ()
        self.busy = False
        self._answer = ""
        self._live: Static | None = None

    def compose(self) -> ComposeResult:
        """The talk above the sources of the last answer."""
        manifest = self.chat.manifest
        techniques = "+".join(dict.fromkeys(str(s["use"]).partition("/")[0] for s in manifest.plan.get("steps", ())))
        self.border_title = f"{manifest.name} · {manifest.run} · {techniques or 'nothing'}"
        yield VerticalScroll(classes="talk")
        yield OptionList()

    @property
    def answer(self) -> str:
        """The answer as far as it has come."""
        return self._answer

    async def ask(self, question: str) -> None:
        """Show a question whose answer is to come."""
        self.busy, self._answer = True, ""
        self._show_passages(())
        talk = self.query_one(".talk", VerticalScroll)
        self._live = Static("…")
        await talk.mount_all([Static(Content(question), classes="question"), self._live])
        talk.scroll_end(animate=False)

    def source(self, passages: tuple[Passage, ...]) -> None:
        """Show the passages the answer is given."""
        self._show_passages(passages)

    def add(self, text: str) -> None:
        """Show another piece of the answer."""
        self._answer += text
        if self._live is not None:
            self._live.update(Content(self._answer))
            self.query_one(".talk", VerticalScroll).scroll_end(animate=False)

    async def end(self, seconds: float) -> None:
        """The answer is whole."""
        self.busy = False
        if not self._answer and self._live is not None:
            self._live.update("(an empty answer)")
        talk = self.query_one(".talk", VerticalScroll)
        await talk.mount(Static(Content(shown(seconds, "s")), classes="took"))
        talk.scroll_end(animate=False)

    def fail(self, error: KistackError) -> None:
        """Show why there is no answer."""
        self.busy = False
        if self._live is not None:
            hint = f"\nhint: {error.hint}" if error.hint else ""
            self._live.update(Content(f"error: {error.message}{hint}"))
            self._live.add_class("fault")

    def _show_passages(self, passages: tuple[Passage, ...]) -> None:
        self.passages = passages
        sources = self.query_one(OptionList)
        sources.clear_options()
        sources.add_options([Option(Content(source_line(n, p))) for n, p in enumerate(passages, 1)])
        sources.set_class(bool(passages), "-some")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Pass the choice of a passage on."""
        event.stop()
        if event.option_index < len(self.passages):
            self.post_message(self.PassageChosen(event.option_index + 1, self.passages[event.option_index]))

    def on_unmount(self) -> None:
        """End the process that answers; waiting for it must not hold the screen up."""
        threading.Thread(target=self.chat.close).start()


def source_line(number: int, passage: Passage) -> str:
    """A passage in a line."""
    text = " ".join(passage.text.split())
    return f"[{number}] {passage.document or passage.id}: {text[:120]}"


def passage_text(number: int, passage: Passage) -> str:
    """A passage in full."""
    head = [f"[{number}] {passage.document or passage.id}"]
    if passage.title:
        head.append(passage.title)
    return "\n".join([*head, f"score {passage.score:.4g}", "", passage.text])
