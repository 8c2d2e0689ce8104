"""5,000 random keys and sizes on each screen that builds and asks leave no exception."""

import pytest
from tui.fuzzing import documents_of, seeds, storm, unchanged, wall
from tui.piloting import drive

from kistack.domain.plan import Plan, Step

#: Many minutes of keys: make fuzz.
pytestmark = pytest.mark.fuzz

STEPS = ("compose", "run", "results", "ask")
PARTS, COUNT = 4, 1250


@pytest.mark.parametrize(("step", "seed"), [p for step in STEPS for p in seeds(step, PARTS)])
def test_random_keys_and_sizes_leave_no_exception(step, seed, desk_session, desk, ran, monkeypatch):
    plan = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy"), Step(use="quantize/toy")))
    ran(desk, plan)
    wall(monkeypatch)
    desk_session.plan = plan
    before = documents_of(desk_session.folder)

    async def script(wheel):
        await wheel.judged_at("profile")
        return await storm(wheel, seed, COUNT, step)

    met, sent = drive(desk_session, script)
    print(f"{step}: {met} met it of {sent} sent")
    assert met >= COUNT
    assert unchanged(before)
