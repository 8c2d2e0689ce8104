"""Some random keys and sizes on all screens; many on each of them are in the files beside this one."""

import pytest
from tui.fuzzing import KEYS, documents_of, storm, unchanged, wall
from tui.piloting import drive

from kistack.domain.plan import Plan, Step
from kistack.tui.session import Session
from kistack.tui.steps import STEPS

pytestmark = pytest.mark.fuzz

EACH = 25


def test_two_hundred_random_keys_over_all_screens_leave_no_exception(desk_session, desk, ran, monkeypatch):
    ran(desk, Plan(steps=(Step(use="retrieve/toy"),)))
    wall(monkeypatch)
    before = documents_of(desk_session.folder)

    async def script(wheel):
        await wheel.opened()
        await wheel.judged()
        return [await storm(wheel, 7 + n, EACH, step.name) for n, step in enumerate(STEPS)]

    assert [met for met, _ in drive(desk_session, script)] == [EACH] * 8
    assert unchanged(before)


def test_random_keys_in_a_bare_folder_leave_no_exception(tmp_path, toy_host, monkeypatch):
    wall(monkeypatch)
    folder = tmp_path / "bare"
    folder.mkdir()

    async def script(wheel):
        # The demo is copied and fetched: that takes its time and is tested elsewhere.
        await storm(wheel, 100, 200, keys=[k for k in KEYS if k != "d"])

    drive(Session(folder, host=toy_host), script)
