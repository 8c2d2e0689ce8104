"""Random keys and sizes leave no exception, whatever screen they meet; the same seeds press the same keys."""

import random

import pytest
from tui.piloting import drive

from kistack.tui.session import Session

#: Some minutes of keys: beside what needs a system of its own.
pytestmark = pytest.mark.system

KEYS = [
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "enter", "escape", "tab", "shift+tab"),
    *("space", "backspace", "delete", "ctrl+n", "ctrl+p", "ctrl+s", "ctrl+t", "f1", "question_mark"),
    *("percent_sign", "equals_sign", "full_stop"),
    *"1234rdtqwocvsnfa09x",
]
#: The steps that only look and advise; the others start runs.
MINE = ("start", "profile", "goals", "recommendation")
#: On a terminal of a column or two textual itself fails, on lists of options.
SIZES = [(80, 24), (160, 50), (40, 10), (20, 5), (100, 30), (99, 60), (12, 4), (200, 80)]
COUNT = 350


@pytest.mark.parametrize("seed", range(6))
def test_random_keys_and_sizes_leave_no_exception(seed, session, toy_project):
    pick = random.Random(seed)
    before = {p.name: p.read_bytes() for p in toy_project.iterdir() if p.is_file() and p.name != "kistack.yaml"}

    async def script(wheel):
        await wheel.judged_at(MINE[seed % 4])
        for _ in range(COUNT):
            if pick.random() < 0.03:
                await wheel.pilot.resize_terminal(*pick.choice(SIZES))
            else:
                # No pause between the keys: they come faster than what they start.
                await wheel.pilot.press(pick.choice(KEYS))
            if wheel.step not in MINE:
                wheel.app.action_go("recommendation")
        await wheel.pilot.pause()
        assert wheel.app.is_running

    drive(session, script)
    assert {name: (toy_project / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("seed", range(2))
def test_random_keys_in_a_bare_folder_leave_no_exception(seed, tmp_path, toy_host):
    pick = random.Random(100 + seed)
    folder = tmp_path / "bare"
    folder.mkdir()

    async def script(wheel):
        for _ in range(COUNT):
            await wheel.pilot.press(pick.choice([k for k in KEYS if k != "d"]))
        await wheel.pilot.pause()

    drive(Session(folder, host=toy_host), script)
