import pytest
from tui.piloting import SIZES, drive, send

from kistack.domain.scenario import load_scenario


def test_each_valid_change_moves_the_recommendation_at_once(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        before = wheel.text("#lines")
        wheel.app.shown.query_one("#goal-limits-training-time").focus()
        await wheel.write("3s")
        after = wheel.text("#lines")
        assert wheel.session.changes == {"limits.training_time": "3s"}
        assert all(j.candidate.estimate.cost("seconds") <= 3 for j in wheel.session.bench.judgement.kept)
        return before, after

    before, after = drive(session, script)
    assert "24 of 24" in before
    assert "24 of 24" not in after
    assert "training time" in after


def test_a_value_that_does_not_fit_is_told_in_its_line_and_changes_nothing(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        bench = wheel.session.bench
        field = wheel.app.shown.query_one("#goal-task-at-least")
        field.focus()
        await wheel.write("x")
        hint = field.parent.query_one(".hint")
        assert "is not a share" in str(hint.render())
        assert hint.has_class("-wrong")
        assert wheel.session.bench is bench
        await wheel.press("ctrl+s")
        assert "nothing was saved" in wheel.status
        await wheel.press("backspace")
        await wheel.write("50%")
        assert not hint.has_class("-wrong")
        assert wheel.session.scenario.task.at_least == 0.5

    drive(session, script)


@pytest.mark.parametrize(
    ("before", "keys", "value"),
    [(["end"], ["5", "backspace", "pageup"], 3.0), (["end", "backspace"], ["5", "pagedown"], 4.0)],
)
def test_keys_that_come_faster_than_candidates_are_judged_leave_what_the_field_says(session, before, keys, value):
    async def script(wheel):
        await wheel.judged_at("goals")
        field = wheel.app.shown.query_one("#goal-indifference")
        field.focus()
        await wheel.press(*before)
        for key in keys:
            send(wheel.app, key)
        await wheel.until(lambda: field.value == f"{value:g}")
        await wheel.pilot.pause(0.2)
        assert wheel.session.scenario.indifference == value
        assert wheel.session.changes == {"indifference": f"{value:g}"}

    drive(session, script)


def test_what_is_not_saved_is_said_as_it_stands(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        screen = wheel.app.shown
        for name in ("indifference", "horizon", "limits-training-time", "limits-money"):
            screen.query_one(f"#goal-{name}").focus()
            await wheel.press("pageup")
        assert "not saved: Indifference, Horizon, Training and 1 more" in wheel.status
        for name in ("indifference", "horizon"):
            screen.query_one(f"#goal-{name}").focus()
            await wheel.press("pagedown")
        assert "not saved: Training, Money (ctrl+s saves)" in wheel.status
        await wheel.write("x")
        assert "Horizon: " in wheel.status
        await wheel.press("backspace")
        assert "not saved: Training, Money (ctrl+s saves)" in wheel.status

    drive(session, script)


def test_saving_writes_the_goals_and_nothing_else(session, toy_project):
    path = toy_project / "kistack.yaml"
    path.write_text(path.read_text() + "horizon: 90d   # a quarter\n# the end\n")
    before = path.read_text()

    async def script(wheel):
        await wheel.judged_at("goals")
        wheel.app.shown.query_one("#goal-horizon").focus()
        await wheel.press("pageup")
        assert path.read_text() == before
        await wheel.press("ctrl+s")
        assert "saved" in wheel.status

    drive(session, script)
    assert path.read_text() == before.replace("horizon: 90d   # a quarter", "horizon: 180d  # a quarter")
    assert load_scenario(path).horizon == 180 * 86_400


def test_keys_go_through_the_fields_and_step_their_values(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        assert wheel.app.focused.id == "goal-task-kind"
        await wheel.press("pagedown")
        kind = wheel.app.focused.value
        await wheel.press("enter", "down", "up", "up")
        assert wheel.app.focused.id == "goal-task-kind"
        await wheel.press("escape")
        assert wheel.app.focused is None
        await wheel.press("4")
        assert wheel.step == "recommendation"
        return kind

    assert drive(session, script) == "both"


@pytest.mark.parametrize("size", SIZES)
def test_a_limit_is_stepped_by_keys_that_the_last_line_names(session, size):
    async def script(wheel):
        await wheel.judged_at("goals")
        wheel.app.shown.query_one("#goal-limits-disk").focus()
        await wheel.pilot.pause()
        keys = wheel.picture().splitlines()[-1]
        assert "pgup More" in keys
        assert "pgdn Less" in keys
        await wheel.press("pageup", "pageup", "pagedown", "pageup")
        assert wheel.session.changes == {"limits.disk": "1GB"}
        assert wheel.session.scenario.limits.disk == 1e9

    drive(session, script, size)


def test_goals_that_were_not_saved_are_told_as_what_ifs(session):
    async def script(wheel):
        await wheel.judged_at("goals")
        wheel.app.shown.query_one("#goal-limits-disk").focus()
        await wheel.write("1GB")
        await wheel.press("ctrl+n")
        await wheel.until(lambda: wheel.step == "recommendation")
        return wheel.session.commands[-1]

    assert "advise --set limits.disk=1GB" in drive(session, script)
