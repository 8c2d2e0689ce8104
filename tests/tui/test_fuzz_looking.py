"""5,000 random keys and sizes on each screen that looks and advises leave no exception."""

import pytest
from tui.fuzzing import documents_of, seeds, storm, unchanged, wall
from tui.piloting import drive

#: Many minutes of keys: make fuzz.
pytestmark = pytest.mark.fuzz

STEPS = ("start", "profile", "goals", "recommendation")
PARTS, COUNT = 4, 1250


@pytest.mark.parametrize(("step", "seed"), [p for step in STEPS for p in seeds(step, PARTS)])
def test_random_keys_and_sizes_leave_no_exception(step, seed, session, toy_project, monkeypatch):
    wall(monkeypatch)
    before = documents_of(toy_project)

    async def script(wheel):
        await wheel.judged_at("profile")
        return await storm(wheel, seed, COUNT, step)

    met, sent = drive(session, script)
    print(f"{step}: {met} met it of {sent} sent")
    assert met >= COUNT
    assert unchanged(before)
