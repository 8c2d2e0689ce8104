"""Results: what a run has shown, question by question."""

import pytest
from sweeping.planted import SETS, planted
from textual.widgets import DataTable
from tui.piloting import SIZES, drive
from tui.test_results_view import keep

from kistack.domain.plan import Plan, Step
from kistack.tui.screens.modals import PageModal

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))


@pytest.mark.parametrize("size", SIZES)
def test_the_baseline_stands_beside_the_plan(desk_session, desk, ran, size, monkeypatch):
    [record] = ran(desk, PLAN)
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)

    async def script(wheel):
        await wheel.judged_at("results")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.comparison is not None)
        columns = [str(c.label) for c in screen.query_one("#systems", DataTable).ordered_columns]
        assert columns[:3] == ["metric", "plan", "baseline"]
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
        await wheel.press("h")
        await wheel.until(lambda: "opened in the browser" in wheel.status)
        assert "report.html" in wheel.status
        assert wheel.session.bundle is not None

    drive(desk_session, script, size)
    [url] = opened
    report = desk.project.runs / record.run / "report.html"
    assert url == report.as_uri()
    assert record.run in report.read_text()
    assert f"report {record.run} --format html -o {report}" in desk_session.commands[-1]


def test_where_no_browser_opens_the_path_is_told(desk_session, desk, ran, monkeypatch):
    [record] = ran(desk, PLAN)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    async def script(wheel):
        await wheel.judged_at("results")
        await wheel.until(lambda: wheel.app.shown.record is not None)
        await wheel.press("h")
        await wheel.until(lambda: "written to" in wheel.status)
        assert "opened" not in wheel.status

    drive(desk_session, script)
    assert (desk.project.runs / record.run / "report.html").is_file()


@pytest.mark.parametrize("size", SIZES)
def test_the_last_sweep_and_its_regret_are_shown(desk_session, desk, ran, size):
    ran(desk, PLAN)
    points = {cell: [1.0, 0.0, 1.0, float("tune" in cell)] * 3 for cell in SETS}
    book = keep(desk.project, planted(points, advised="retrieve"))

    async def script(wheel):
        await wheel.judged_at("results")
        await wheel.until(lambda: wheel.text("#sweep"))
        line = wheel.text("#sweep")
        assert "16 of 16 combinations measured" in line
        assert "Regret of the advised plan (retrieve): +25.0 [" in line
        assert book.sweep in wheel.picture()
        await wheel.press("s")
        await wheel.until(lambda: isinstance(wheel.app.screen, PageModal))
        assert "16 of 16 combinations" in wheel.picture()
        text = str(wheel.app.screen.query("Static").last().render())
        assert "What each technique does" in text
        assert "always tune" in text

    drive(desk_session, script, size)
    assert f"sweep --show {book.sweep}" in desk_session.commands[-1]


def test_a_sweep_that_cannot_be_read_is_told(desk_session, desk):
    book = keep(desk.project, planted({cell: [1.0, 0.0] for cell in SETS}))
    (book.folder / "sweep.json").write_text("{")

    async def script(wheel):
        await wheel.judged_at("results")
        await wheel.until(lambda: "cannot be read" in wheel.text("#sweep"))
        await wheel.press("s")
        assert "no sweep" in wheel.status

    drive(desk_session, script)


def test_without_a_run_every_key_tells_why(desk_session):
    async def script(wheel):
        await wheel.judged_at("results")
        assert "No run has ended" in wheel.text("#verdict")
        await wheel.press("f", "b", "h")
        assert "nothing to report" in wheel.status
        await wheel.press("l")
        assert "No run" in wheel.status

    drive(desk_session, script)


def test_another_run_and_one_without_a_record(desk_session, desk, ran):
    first, second = ran(desk, PLAN, Plan())

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
