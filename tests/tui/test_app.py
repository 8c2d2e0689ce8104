import gc

import pytest
from tui.piloting import SIZES, drive, send

from kistack.tui.app import DARK, LIGHT
from kistack.tui.steps import STEPS
from kistack.tui.widgets.palette import Palette

MINE = STEPS[:4]


def test_numbers_and_control_keys_go_from_step_to_step(session):
    async def script(wheel):
        await wheel.opened()
        seen = []
        for key in ("ctrl+n", "ctrl+n", "ctrl+p", "4", "1"):
            await wheel.press(key)
            seen.append(wheel.step)
        return seen

    assert drive(session, script) == ["profile", "goals", "profile", "recommendation", "start"]


def test_what_candidates_are_made_of_is_left_to_the_collector_once_the_wizard_is_left(session):
    async def script(wheel):
        await wheel.opened()
        await wheel.judged()
        return gc.get_freeze_count()

    assert drive(session, script) > 0
    assert gc.get_freeze_count() == 0


def test_a_text_field_swallows_single_keys(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        await wheel.press("down", "4", "q", "s", "question_mark")
        assert wheel.step == "goals"
        assert len(wheel.app.screen_stack) == 2
        return wheel.app.screen.query_one("#goal-task-at-least").value

    assert drive(session, script) == "4qs?"


@pytest.mark.parametrize("step", MINE, ids=lambda s: s.name)
def test_every_screen_has_help_with_its_own_keys(session, step):
    async def script(wheel):
        await wheel.judged_at(step.name)
        await wheel.press("f1")
        text = wheel.picture()
        assert f"Help: {step.title}" in text
        await wheel.press("escape")
        assert wheel.step == step.name
        assert len(wheel.app.screen_stack) == 2

    drive(session, script, size=(80, 60))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("step", MINE, ids=lambda s: s.name)
def test_every_screen_shows_steps_and_keys_at_both_sizes_in_both_themes(session, step, size):
    async def script(wheel):
        await wheel.judged_at(step.name)
        for theme in (DARK.name, LIGHT.name):
            assert wheel.app.theme == theme
            await wheel.until(lambda: "? Help" in wheel.picture().splitlines()[-1])
            lines = wheel.picture().splitlines()
            assert f"[{step.title}]" in lines[0]
            assert "8 Ask" in lines[0]
            assert "^q Leave" in lines[-1]
            await wheel.press("ctrl+t")

    drive(session, script, size=size)


@pytest.mark.parametrize("keys", [("escape", "escape"), ("enter", "enter"), ("enter", "escape")])
def test_the_palette_of_themes_is_left_once_however_fast_the_keys_come(session, keys):
    async def script(wheel):
        wheel.app.search_themes()
        await wheel.until(lambda: isinstance(wheel.app.screen, Palette))
        await wheel.write("nord")
        for key in keys:
            send(wheel.app, key)
        await wheel.until(lambda: wheel.app.screen is wheel.app.shown)
        return wheel.step

    assert drive(session, script) == "start"


def test_the_palette_goes_to_a_step(session):
    async def script(wheel):
        await wheel.opened()
        await wheel.press("f2")
        await wheel.write("goals")
        await wheel.pilot.pause(0.3)
        await wheel.press("enter")
        await wheel.until(lambda: wheel.step == "goals")

    drive(session, script)


def test_a_step_that_needs_a_project_says_what_to_do(tmp_path, session):
    session.folder = tmp_path

    async def script(wheel):
        await wheel.press("3")
        assert wheel.step == "start"
        return wheel.status

    assert "Goals needs a project" in drive(session, script)


def test_what_cannot_be_profiled_is_told_with_a_remedy(session, toy_project):
    (toy_project / "pairs.jsonl").write_text("no json\n")

    async def script(wheel):
        await wheel.opened()
        await wheel.press("2")
        await wheel.until(lambda: "error" in wheel.status)
        return wheel.status

    assert "hint:" in drive(session, script)


def test_another_statement_of_the_project_makes_what_was_under_way_out_of_date(session):
    async def script(wheel):
        from kistack.tui.messages import Profiled
        from kistack.tui.stating import adopt

        await wheel.opened()
        await wheel.judged()
        old, profile = wheel.session.place, wheel.session.profile
        adopt(wheel.session, {"serve_on": "raspberry-pi-5"})
        wheel.app.post_message(Profiled(old, profile))
        await wheel.pilot.pause()
        assert wheel.session.profile is None

    drive(session, script)
