"""Random keys and sizes on the screens that build and ask leave no exception; the same seeds press the same keys."""

import random

import pytest
from tui.piloting import drive

from kistack.bundle.chat import Answered, Piece, Sources
from kistack.domain.plan import Plan, Step
from kistack.domain.prompt import Passage
from kistack.errors import InputError

#: Some minutes of keys: beside what needs a system of its own.
pytestmark = pytest.mark.system

KEYS = [
    "up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape", "tab", "shift+tab", "space",
    "backspace", "ctrl+n", "ctrl+p", "ctrl+t", "f1", "question_mark", "5", "6", "7", "8", "a", "x", "K", "J", "p", "u",
    "d", "y", "o", "g", "s", "t", "r", "l", "v", "f", "b", "h", "i", "c", "n", "0", "9", "full_stop", "minus",
]  # fmt: skip
#: On a terminal of a column or two textual itself fails, on lists of options.
SIZES = [(80, 24), (160, 50), (40, 10), (20, 5), (100, 30), (99, 60), (12, 4), (200, 80)]
COUNT = 320
STEPS = ["compose", "run", "results", "ask"]


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


@pytest.mark.parametrize("seed", range(16))
def test_random_keys_and_sizes_leave_no_exception(seed, desk_session, desk, monkeypatch):
    plan = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy"), Step(use="quantize/toy")))
    desk.run(desk.compose(plan))

    def refuse(*_arguments, **_named):
        raise InputError("no more processes here", "look elsewhere")

    # What lies outside: processes, the browser.
    monkeypatch.setattr("kistack.tui.run_control.start_detached", refuse)
    monkeypatch.setattr("kistack.tui.screens.run.resume_detached", refuse)
    monkeypatch.setattr("kistack.tui.widgets.conversation.Chat", Echo)
    monkeypatch.setattr("textual.app.App.open_url", lambda *_a, **_k: None)
    pick = random.Random(seed)
    desk_session.plan = plan
    scenario = (desk_session.folder / "kistack.yaml").read_bytes()

    async def script(wheel):
        await wheel.judged_at(STEPS[seed % 4])
        for _ in range(COUNT):
            if pick.random() < 0.03:
                await wheel.pilot.resize_terminal(*pick.choice(SIZES))
            else:
                await wheel.pilot.press(pick.choice(KEYS))
        await wheel.pilot.pause()
        assert wheel.app.is_running

    drive(desk_session, script)
    assert (desk_session.folder / "kistack.yaml").read_bytes() == scenario
