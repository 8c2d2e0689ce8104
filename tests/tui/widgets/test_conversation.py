"""Talks with bundles whose answers come when the test says so: as they stream, with their sources, side by side."""

import queue
from types import SimpleNamespace
from typing import ClassVar

import pytest
from textual.widgets import Input
from tui.piloting import SIZES, drive

from kistack.bundle.chat import Answered, Piece, Sources
from kistack.domain.prompt import Passage
from kistack.errors import StepFailed
from kistack.tui.screens.modals import PageModal
from kistack.tui.widgets.conversation import passage_text, source_line

QUESTION = "Which release"


class Told:
    """A bundle that says what the test puts in."""

    known: ClassVar[dict] = {}

    def __init__(self, folder):
        self.folder = folder
        steps = [{"use": "retrieve/toy"}, {"use": "tune/toy"}]
        self.manifest = SimpleNamespace(name="desk", run=folder.name, plan={"steps": steps})
        self.parts, self.asked, self.closed = queue.Queue(), [], False
        Told.known[folder.name] = self

    def ask(self, question, *, slot=""):
        self.asked.append(question)
        while True:
            part = self.parts.get(timeout=20)
            if isinstance(part, Exception):
                raise part
            yield part
            if isinstance(part, Answered):
                return

    def close(self):
        self.closed = True
        self.parts.put(StepFailed("closed", ""))

    def say(self, *parts):
        for part in parts:
            self.parts.put(part)


@pytest.fixture
def bundles(monkeypatch, tmp_path, session):
    """Two bundles; the first is the session's."""
    monkeypatch.setattr("kistack.tui.widgets.conversation.Chat", Told)
    Told.known = {}
    session.bundle = tmp_path / "one"
    yield [tmp_path / "one", tmp_path / "two"]
    for told in Told.known.values():
        told.close()


async def asking(wheel, *folders):
    """The screen with the bundles beside each other, and the question put to them."""
    await wheel.opened()
    # Opening a project begins anew.
    wheel.session.bundle = folders[0]
    wheel.app.action_go("ask")
    await wheel.until(lambda: wheel.step == "ask" and len(wheel.app.shown.talks) == 1)
    screen = wheel.app.shown
    for place, folder in enumerate(folders[1:], 1):
        await screen._open(folder, place)
    screen.query_one(Input).focus()
    await wheel.write(QUESTION)
    await wheel.press("enter")
    await wheel.until(lambda: all(t.busy for t in screen.talks))
    return screen


def passages(*words):
    return tuple(Passage(str(n), f"{word} in full", f"{word}.md", word.title(), 0.5) for n, word in enumerate(words))


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_is_shown_as_it_comes_with_its_sources_first(session, bundles, size):
    async def script(wheel):
        screen = await asking(wheel, bundles[0])
        [talk], told = screen.talks, Told.known["one"]
        assert told.asked == [QUESTION]
        told.say(Sources(passages("alpha", "beta")))
        await wheel.until(lambda: len(talk.passages) == 2)
        assert "[2] beta.md" in wheel.picture()
        assert talk.answer == ""
        for so_far, piece in (("The", "The"), ("The latest", " latest"), ("The latest is 1.3", " is 1.3")):
            told.say(Piece(piece))
            await wheel.until(lambda so_far=so_far: talk.answer == so_far)
            assert so_far in wheel.picture()
            assert talk.busy
        # One question at a time.
        await wheel.write("x")
        await wheel.press("enter")
        assert "still coming" in wheel.status
        assert told.asked == [QUESTION]
        told.say(Answered(0.25))
        await wheel.until(lambda: not talk.busy)
        assert "250 ms" in wheel.picture()

    drive(session, script, size)


@pytest.mark.parametrize("size", SIZES)
def test_two_bundles_side_by_side_have_answers_and_sources_of_their_own(session, bundles, size):
    async def script(wheel):
        screen = await asking(wheel, *bundles)
        left, right = screen.talks
        one, two = Told.known["one"], Told.known["two"]
        assert one.asked == two.asked == [QUESTION]
        two.say(Sources(passages("gamma")), Piece("right"), Answered(0.1))
        await wheel.until(lambda: not right.busy)
        assert (left.busy, left.answer, right.answer) == (True, "", "right")
        one.say(Sources(()), Piece("left"), Answered(0.1))
        await wheel.until(lambda: not left.busy)
        picture = wheel.picture()
        assert "left" in picture
        assert "right" in picture
        assert "desk · one" in picture
        assert "desk · two" in picture
        # Only the right one was given a passage: its list is gone to, and the passage opened.
        await wheel.press("escape", "o", "enter")
        await wheel.until(lambda: isinstance(wheel.app.screen, PageModal))
        assert "gamma in full" in wheel.picture()
        await wheel.press("escape", "c")
        await wheel.until(lambda: len(screen.talks) == 1)
        await wheel.until(lambda: two.closed)
        assert screen.talks == [left]

    drive(session, script, size)


def test_an_answer_that_fails_is_told_in_its_talk_and_the_next_one_comes(session, bundles):
    async def script(wheel):
        screen = await asking(wheel, *bundles)
        left, right = screen.talks
        one, two = Told.known["one"], Told.known["two"]
        one.say(Piece("half an an"), StepFailed("the process ended", "ask again"))
        two.say(Piece("fine"), Answered(0.1))
        await wheel.until(lambda: not left.busy and not right.busy)
        picture = wheel.picture()
        assert "error: the process ended" in picture
        assert "hint: ask again" in picture
        assert "fine" in picture
        one.say(Answered(0.1))
        two.say(Answered(0.1))
        await wheel.write("again")
        await wheel.press("enter")
        await wheel.until(lambda: one.asked == [QUESTION, "again"] and not left.busy)
        assert "(an empty answer)" in wheel.picture()

    drive(session, script, (160, 50))


def test_a_passage_as_a_line_and_in_full():
    passage = Passage("7", "many\n  words " + "x" * 200, "", "A title", 0.1234567)
    line = source_line(3, passage)
    assert line.startswith("[3] 7: many words xxx")
    assert len(line) <= 130
    assert passage_text(3, passage).startswith("[3] 7\nA title\nscore 0.1235\n\nmany\n  words x")
