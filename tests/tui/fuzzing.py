"""Random keys and sizes: the same seed presses the same keys."""

import asyncio
import random
import time

import pytest
from textual.events import Resize
from textual.geometry import Size
from tui.piloting import send

from kistack.bundle.chat import Answered, Piece, Sources
from kistack.domain.prompt import Passage
from kistack.errors import InputError

#: Keys that lead elsewhere or draw everything anew: each is pressed, but one in five of the others, so that most keys
#: meet what a screen can do.
_ELSEWHERE = ["ctrl+n", "ctrl+p", "ctrl+t", "f1", "f2", "?", *"12345678"]
KEYS = _ELSEWHERE + 5 * [
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape", "tab", "shift+tab"),
    *("space", "backspace", "delete", "ctrl+s"),
    *"abcdfghiklmnopqrstuvwxyJK09%=.-",
]
#: On a terminal of a column or two textual itself fails, on lists of options.
SIZES = [(80, 24), (160, 50), (40, 10), (20, 5), (100, 30), (99, 60), (12, 4), (200, 80)]
#: Share of events that resize the terminal.
RESIZES = 0.02
#: So many events come faster than what they start is done.
BURST = 25
#: Seconds within which a burst must be taken.
PATIENCE = 60


class Echo:
    """A bundle's process that answers at once."""

    def __init__(self, folder):
        from kistack.bundle.manifest import read_manifest

        self.folder, self.manifest = folder, read_manifest(folder)

    def ask(self, question, *, slot=""):
        yield Sources((Passage("1", question, "a.md"),))
        yield Piece(question)
        yield Answered(0.1)

    def close(self):
        pass


def wall(monkeypatch):
    """Keep what lies outside, processes and the browser, from being reached."""

    def refuse(*_arguments, **_named):
        raise InputError("no more processes here", "look elsewhere")

    async def stay(_app):
        pass

    monkeypatch.setattr("kistack.tui.run_control.start_detached", refuse)
    monkeypatch.setattr("kistack.tui.screens.run.resume_detached", refuse)
    monkeypatch.setattr("kistack.tui.widgets.conversation.Chat", Echo)
    monkeypatch.setattr("textual.app.App.open_url", lambda *_a, **_k: None)
    # What keys lead to is drawn five times a second, not sixty: most of the time would go there.
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", 0.2)
    # The palette offers these too.
    monkeypatch.setattr("textual.app.App.deliver_screenshot", lambda *_a, **_k: None)
    monkeypatch.setattr("textual.app.App.action_quit", stay)


async def storm(wheel, seed, count, step="", keys=KEYS):
    """Send so many events, all of them to ``step`` where one is named; those that met other screens do not count.

    Returns how many met it, and how many were sent in all.
    """
    pick = random.Random(seed)
    met = sent = 0
    while met < count:
        _check(wheel.app)
        if step and wheel.step != step:
            wheel.app.action_go(step)  # refused while something lies over the screen: keys will close it
            await _handled(wheel.app)
        there = not step or wheel.step == step
        burst = min(BURST, count - met)
        for _ in range(burst):
            if pick.random() < RESIZES:
                _resize(wheel.app, pick.choice(SIZES))
            else:
                send(wheel.app, pick.choice(keys))
        await _handled(wheel.app)
        sent += burst
        met += burst if there else 0
        assert sent < 10 * count + 1000, f"{step} is hardly ever in front"
    await asyncio.sleep(0.2)
    await _handled(wheel.app)
    _check(wheel.app)
    return met, sent


def _check(app):
    if app._exception is not None:
        raise app._exception
    assert app.is_running
    assert app.shown is not None


async def _handled(app):
    """Until the app and its screen have taken what was sent, and a step that was gone to stands.

    A pilot's pause waits for every widget, also for those that a key removes meanwhile, and then in vain. While one
    step takes another's place neither stands; a wizard that stays without one is what this waits for in vain.
    """
    end = time.monotonic() + PATIENCE
    await asyncio.sleep(0.001)
    while app.is_running and not (
        app._message_queue.empty() and app.screen._message_queue.empty() and app.shown is not None
    ):
        assert time.monotonic() < end, "keys are not taken any more"
        await asyncio.sleep(0.001)


def _resize(app, size):
    """Another size of the terminal, without waiting for what it does."""
    app._driver._size = Size(*size)
    app.post_message(Resize(Size(*size), Size(*size)))


def documents_of(folder):
    """What the user wrote and no key may change; the scenario's file is written where that is asked for."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.suffix in {".md", ".jsonl"} and ".kistack" not in p.parts}


def unchanged(before):
    """Whether all of it is as it was."""
    return all(path.read_bytes() == data for path, data in before.items())


def seeds(step, parts):
    """Parameters: the step with a seed for each part."""
    return [pytest.param(step, 100 * len(step) + n, id=f"{step}-{n}") for n in range(parts)]
