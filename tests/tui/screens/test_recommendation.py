from tui.piloting import drive

from kistack.domain.planfile import load_plan


async def explained(wheel):
    await wheel.judged_at("recommendation")
    await wheel.until(lambda: "flips" in (wheel.session.advice.context if wheel.session.advice else {}))


def test_the_table_shows_every_combination_with_its_numbers(session):
    async def script(wheel):
        await explained(wheel)
        return wheel.picture()

    text = drive(session, script, size=(160, 50))
    assert text.count("kept") + text.count("◆ front") >= 15
    assert "★ recommended" in text
    assert "to fresh" in text
    assert "would win if" in text
    assert "arXiv" in text


def test_toggles_go_to_the_combination_and_say_what_changes(session):
    async def script(wheel):
        await wheel.judged_at("recommendation")
        screen = wheel.app.shown
        assert screen.row.techniques == {"retrieve", "tune"}
        await wheel.press("t")
        assert screen.row.techniques == {"retrieve"}
        told = wheel.status
        await wheel.press("r", "q", "d")
        assert screen.row.techniques == {"quantize", "distill"}
        return told

    assert drive(session, script).startswith("without tune: ")


def test_enter_takes_the_plan_and_writes_nothing(session, toy_project):
    before = sorted(p.name for p in toy_project.iterdir())

    async def script(wheel):
        await wheel.judged_at("recommendation")
        await wheel.press("enter")
        return wheel.session.plan

    assert drive(session, script).techniques == ("retrieve", "tune")
    assert sorted(p.name for p in toy_project.iterdir() if p.name != ".kistack") == before


def test_o_writes_the_plan_and_tells_the_command(session, toy_project):
    (toy_project / "plan.yaml").write_text("mine")

    async def script(wheel):
        await wheel.judged_at("recommendation")
        await wheel.press("o", "enter")
        return wheel.session.plan, wheel.session.commands[-1]

    plan, command = drive(session, script)
    assert load_plan(toy_project / "plan-2.yaml") == plan
    assert command == f"kistack advise -o {toy_project / 'plan-2.yaml'} -C {toy_project}"
    assert (toy_project / "plan.yaml").read_text() == "mine"


def test_what_if_takes_lines_and_writes_nothing(session, toy_project):
    before = (toy_project / "kistack.yaml").read_text()

    async def script(wheel):
        await wheel.judged_at("recommendation")
        await wheel.press("w")
        wheel.app.screen.query_one("TextArea").text = "no.such=1"
        await wheel.press("ctrl+s")
        assert "nothing has this key" in str(wheel.app.screen.query_one(".problem").render())
        wheel.app.screen.query_one("TextArea").text = "limits.memory=1MB\npairs.train=50"
        await wheel.press("ctrl+s")
        await wheel.until(lambda: type(wheel.app.screen).__name__ == "PageModal")
        text = wheel.picture()
        await wheel.press("escape")
        return text, wheel.session.commands[-1], dict(wheel.session.changes)

    text, command, changes = drive(session, script)
    assert "Nothing was written" in text
    assert "--set limits.memory=1MB --set pairs.train=50" in command
    assert changes == {}
    assert (toy_project / "kistack.yaml").read_text() == before


def test_rejected_rows_stay_with_the_limit_that_rejects_them(session):
    async def script(wheel):
        from kistack.tui.stating import adopt

        await wheel.judged()
        adopt(wheel.session, {"limits.memory": "1MB"})
        await wheel.judged_at("recommendation")
        return wheel.picture()

    text = drive(session, script, size=(160, 50))
    assert text.count("✗ memory") >= 16
    assert "raise limits.memory to" in text


def test_a_narrow_screen_goes_from_reasons_to_plot_to_flips(session):
    async def script(wheel):
        await explained(wheel)
        shown = []
        for _ in range(4):
            shown.append([n for n in ("reasons", "plot", "flips") if wheel.app.shown.query_one(f"#{n}").region.area])
            await wheel.press("v")
        return shown

    assert drive(session, script, size=(80, 24)) == [["reasons"], ["plot"], ["flips"], ["reasons"]]


def test_the_plot_goes_through_the_costs(session):
    async def script(wheel):
        await wheel.judged_at("recommendation")
        seen = []
        for _ in range(4):
            await wheel.press("c")
            seen.append(str(wheel.app.shown.query_one("#plot").border_title).partition(":")[0])
        return seen

    assert drive(session, script) == [
        "points by memory", "points by time to build", "points by size of the bundle", "points by latency",
    ]  # fmt: skip
