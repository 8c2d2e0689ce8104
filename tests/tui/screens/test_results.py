"""Results: what a run has shown, question by question."""

import pytest
from textual.widgets import DataTable
from tui.piloting import SIZES, drive

from kistack.domain.plan import Plan, Step
from kistack.tui.screens.modals import PageModal

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))


@pytest.mark.parametrize("size", SIZES)
def test_the_baseline_stands_beside_the_plan(desk_session, desk, size):
    record = desk.run(desk.compose(PLAN))
    opened = []

    async def script(wheel):
        await wheel.judged_at("results")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.comparison is not None)
        columns = [str(c.label) for c in screen.query_one("#systems", DataTable).ordered_columns]
        assert columns[:2] == ["metric", "baseline"]
        assert "plan" in columns
        predictions = screen.query_one("#predictions", DataTable)
        assert "time to build" in {str(predictions.get_row_at(n)[0]) for n in range(predictions.row_count)}
        assert "points" in wheel.text("#verdict")
        examples = screen.query_one("#examples", DataTable)
        everything = examples.row_count
        assert everything == len(screen.comparison.examples) == 4
        await wheel.press("f")
        assert examples.row_count == screen.comparison.counts["won"] > 0
        examples.focus()
        await wheel.press("enter")
        await wheel.until(lambda: isinstance(wheel.app.screen, PageModal))
        assert "What it was given" in wheel.picture()
        await wheel.press("escape", "b")
        wheel.app.open_url = lambda url, **_: opened.append(url)
        await wheel.press("h")
        await wheel.until(lambda: opened)
        assert wheel.session.bundle is not None

    drive(desk_session, script, size)
    [url] = opened
    [report] = (desk.project.runs / record.run).glob("report.*")
    assert url == report.as_uri()
    assert record.run in report.read_text()


def test_without_a_run_every_key_tells_why(desk_session):
    async def script(wheel):
        await wheel.judged_at("results")
        assert "No run has ended" in wheel.text("#verdict")
        await wheel.press("f", "b", "h")
        assert "nothing to report" in wheel.status
        await wheel.press("l")
        assert "No run" in wheel.status

    drive(desk_session, script)


def test_another_run_and_one_without_a_record(desk_session, desk):
    first = desk.run(desk.compose(PLAN))
    second = desk.run(desk.compose(Plan()))

    async def script(wheel):
        await wheel.judged_at("results")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.record is not None and screen.record.run == second.run)
        await wheel.press("l")
        await wheel.choose(1)
        await wheel.until(lambda: screen.record is not None and screen.record.run == first.run)
        (desk.project.runs / second.run / "record.json").write_text("{")
        wheel.session.run_dir = desk.project.runs / second.run
        screen.entered()
        await wheel.until(lambda: "cannot be read" in wheel.status)

    drive(desk_session, script)
