"""Composing with keys: steps, forms, the file, and what is refused."""

import pytest
from textual.widgets import Checkbox, Input, OptionList, Select, Static
from tui.piloting import SIZES, drive, write_distribution

from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import load_plan
from kistack.plugins.host import load_host
from kistack.tui.screens.modals import ChoiceModal, FormModal
from kistack.tui.session import Session
from kistack.tui.widgets.settings_form import SettingRow

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy"), Step(use="quantize/toy")))


def compose(session, plan, script, size=(100, 40)):
    """Run ``script`` with the wheel and the screen, the plan in its hands."""
    session.plan = plan

    async def main(wheel):
        await wheel.judged_at("compose")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.editor is not None)
        await script(wheel, screen)

    drive(session, main, size)


def text(screen, selector):
    return str(screen.query_one(selector, Static).render())


@pytest.mark.parametrize("size", SIZES)
def test_a_setting_is_changed_a_step_removed_and_the_plan_written(session, toy_project, size):
    async def script(wheel, screen):
        assert "to build" in text(screen, "#estimate")
        await wheel.press("down", "enter")
        await wheel.pilot.pause()
        field = screen.focused
        assert isinstance(field, Input)
        # The keys of the screen are text in a field.
        field.value = ""
        await wheel.press("1", "2")
        await wheel.until(lambda: "rank: 12" in text(screen, "#yaml-text"))
        await wheel.press("escape", "down", "x")
        await wheel.until(lambda: "quantize" not in text(screen, "#yaml-text"))
        await wheel.press("o")
        await wheel.until(lambda: isinstance(wheel.app.screen, FormModal))
        await wheel.press("enter")
        path = toy_project / "plan.yaml"
        await wheel.until(path.exists)
        assert load_plan(path) == Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy", with_={"rank": 12})))
        assert wheel.app.session.plan_file == path
        assert any("check" in c for c in wheel.app.session.commands)

    compose(session, PLAN, script, size)


def test_letters_in_a_field_are_text(session, toy_project):
    async def script(wheel, screen):
        await wheel.press("down", "enter", "tab")
        field = screen.focused
        assert isinstance(field, Input)
        field.value = ""
        await wheel.press("a", "x", "u", "7", "K")
        assert field.value == "axu7K"
        assert len(screen.editor.steps) == 3
        assert screen.STEP == wheel.app.shown.STEP

    compose(session, PLAN, script, (100, 40))


def test_a_wrong_value_is_told_in_its_row_and_not_taken(session, toy_project):
    async def script(wheel, screen):
        await wheel.press("down", "enter")
        screen.focused.value = "0"
        await wheel.pilot.pause()
        row = next(r for r in screen.query(SettingRow) if r.field.name == "rank")
        assert row.has_class("-faulty")
        assert "greater than or equal to 1" in str(row.query_one(".fault", Static).render())
        assert screen.editor.plan == PLAN
        screen.focused.value = "3"
        await wheel.pilot.pause()
        assert not row.has_class("-faulty")

    compose(session, PLAN, script, (100, 40))


def test_a_wrong_order_is_refused_with_the_reason(session, toy_project):
    async def script(wheel, screen):
        await wheel.press("down", "down", "K")
        await wheel.pilot.pause()
        assert "cannot stand there" in wheel.status
        assert "tune before quantizing" in wheel.status
        assert screen.editor.plan == PLAN
        await wheel.press("up", "K")
        await wheel.until(lambda: screen.editor.steps[0].use == "tune/toy")
        await wheel.press("u")
        await wheel.until(lambda: screen.editor.plan == PLAN)

    compose(session, PLAN, script, (100, 40))


def test_a_step_is_added_from_the_list(session, toy_project):
    async def script(wheel, screen):
        assert "empty" in wheel.status
        await wheel.press("a")
        await wheel.choose(0)
        await wheel.until(lambda: [s.use for s in screen.editor.steps] == ["retrieve/toy"])
        await wheel.press("p")
        await wheel.until(lambda: isinstance(wheel.app.screen, ChoiceModal))
        await wheel.press("escape", "x")
        await wheel.until(lambda: not screen.editor.steps)
        await wheel.press("x", "K", "J", "d")
        assert "no step" in wheel.status

    compose(session, Plan(), script, (100, 40))


def test_a_file_that_is_there_is_replaced_only_when_asked_twice(session, toy_project):
    path = toy_project / "plan.yaml"
    path.write_text("mine\n")

    async def script(wheel, screen):
        await wheel.press("o")
        await wheel.until(lambda: isinstance(wheel.app.screen, FormModal))
        await wheel.press("enter")
        await wheel.pilot.pause()
        assert "is there already" in str(wheel.app.screen.query_one(".problem", Static).render())
        assert path.read_text() == "mine\n"
        await wheel.press("enter")
        await wheel.until(lambda: path.read_text() != "mine\n")
        assert load_plan(path) == PLAN

    compose(session, PLAN, script, (100, 40))


def test_the_plan_of_the_folder_is_taken_up(session, toy_project):
    (toy_project / "plan.yaml").write_text("schema: 1\nsteps:\n- {use: tune/toy}\n")

    async def script(wheel, screen):
        assert [s.use for s in screen.editor.steps] == ["tune/toy"]
        assert "(written)" in str(screen.query_one("#yaml").border_title)
        await wheel.press("y")
        assert screen.query_one("#yaml").display

    compose(session, None, script, (80, 24))


def test_a_plan_that_does_not_compose_tells_its_problems_and_does_not_run(session, toy_project):
    plan = Plan(steps=(Step(use="quantize/toy"), Step(use="tune/toy"), Step(use="tune/nobody")))

    async def script(wheel, screen):
        assert "tune before quantizing" in text(screen, "#problem-lines")
        assert "no estimate" in text(screen, "#estimate")
        await wheel.press("g")
        assert wheel.app.shown.STEP == "compose"
        await wheel.press("end")
        await wheel.pilot.pause()
        assert "nothing installed has this name" in " ".join(str(s.render()) for s in screen.query(".note"))

    compose(session, plan, script, (100, 40))


STRANGER = """
from typing import Literal
from pydantic import Field
from toys import ToyTune
from kistack.domain.records import Estimate
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.stages import Settings

class StrangeSettings(Settings):
    rank: int = Field(default=4, ge=1, le=64, description="rank of the adapter")
    passages: Literal["auto", "never"] = Field(default="auto", description="what to learn from")
    seconds: float = Field(default=0.0, ge=0, description="time to spend")
    careful: bool = Field(default=False, description="look twice")
    layers: tuple[int, ...] = Field(default=(1, 2), description="which layers")

class StrangeTune(ToyTune):
    name = "tune/stranger"
    summary = "a stranger's adapter"
    Settings = StrangeSettings

    def estimate(self, settings, profile, inputs):
        seconds = 100.0 * settings.rank * (2 if settings.careful else 1)
        return Estimate({"seconds": seconds, "peak_bytes": 4e7}, {"model": {"bytes": 100.0}})

@hookimpl
def kistack_register_tuners():
    return [StrangeTune]
"""


def test_a_plugin_installed_only_here_has_its_form_and_its_estimate(toy_project, only_toys):
    write_distribution(only_toys, "stranger", stranger=STRANGER)
    session = Session(toy_project, host=load_host())
    plan = Plan(steps=(Step(use="tune/stranger"),))

    async def script(wheel, screen):
        rows = {r.field.name: r for r in screen.query(SettingRow)}
        assert set(rows) == {"rank", "passages", "seconds", "careful", "layers"}
        assert "1 to 64 · default 4" in str(rows["rank"].query_one(".note", Static).render())
        assert rows["passages"].query(Select)
        rows["careful"].query_one(Checkbox).toggle()
        rows["layers"].query_one(Input).value = "3, 4"
        before = text(screen, "#estimate")
        await wheel.until(lambda: "careful: true" in text(screen, "#yaml-text"))
        assert screen.editor.steps[0].with_ == {"careful": True, "layers": [3, 4]}
        assert text(screen, "#estimate") != before
        await wheel.press("p")
        await wheel.until(lambda: isinstance(wheel.app.screen, ChoiceModal))
        assert wheel.app.screen.query_one(OptionList).option_count == 2

    compose(session, plan, script, (160, 50))
