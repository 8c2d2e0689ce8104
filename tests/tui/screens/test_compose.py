"""Composing with keys: steps, forms, the file, and what is refused."""

import pytest
import toys
from conftest import SIZES, go, status, until, write_distribution
from textual.widgets import Checkbox, Input, OptionList, Select, Static

from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import load_plan
from kistack.plugins.host import load_host
from kistack.tui.screens.modals import ChoiceModal, FormModal
from kistack.tui.widgets.settings_form import SettingRow

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy"), Step(use="quantize/toy")))


async def composing(pilot):
    screen = await go(pilot, "compose")
    await until(pilot, lambda: screen.editor is not None and screen.query(SettingRow) is not None)
    await pilot.pause()
    return screen


def text(screen, selector):
    return str(screen.query_one(selector, Static).render())


@pytest.mark.parametrize("size", SIZES)
async def test_a_setting_is_changed_a_step_removed_and_the_plan_written(wizard, toy_place, size):
    async with wizard(toy_place, plan=PLAN).run_test(size=size) as pilot:
        screen = await composing(pilot)
        assert "to build" in text(screen, "#estimate")
        await pilot.press("down", "enter")
        await pilot.pause()
        field = screen.focused
        assert isinstance(field, Input)
        # The keys of the screen are text in a field.
        field.value = ""
        await pilot.press("1", "2")
        await until(pilot, lambda: "rank: 12" in text(screen, "#yaml-text"))
        await pilot.press("escape", "down", "x")
        await until(pilot, lambda: "quantize" not in text(screen, "#yaml-text"))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, FormModal))
        await pilot.press("enter")
        path = toy_place.project.root / "plan.yaml"
        await until(pilot, path.exists)
        assert load_plan(path) == Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy", with_={"rank": 12})))
        assert pilot.app.session.plan_file == path
        assert any("check" in c for c in pilot.app.session.commands)


async def test_letters_in_a_field_are_text(wizard, toy_place):
    async with wizard(toy_place, plan=PLAN).run_test(size=(100, 40)) as pilot:
        screen = await composing(pilot)
        await pilot.press("down", "enter", "tab")
        field = screen.focused
        assert isinstance(field, Input)
        field.value = ""
        await pilot.press("a", "x", "u", "7", "K")
        assert field.value == "axu7K"
        assert len(screen.editor.steps) == 3
        assert screen.STEP == pilot.app.shown.STEP


async def test_a_wrong_value_is_told_in_its_row_and_not_taken(wizard, toy_place):
    async with wizard(toy_place, plan=PLAN).run_test(size=(100, 40)) as pilot:
        screen = await composing(pilot)
        await pilot.press("down", "enter")
        screen.focused.value = "0"
        await pilot.pause()
        row = next(r for r in screen.query(SettingRow) if r.field.name == "rank")
        assert row.has_class("-faulty")
        assert "greater than or equal to 1" in str(row.query_one(".fault", Static).render())
        assert screen.editor.plan == PLAN
        screen.focused.value = "3"
        await pilot.pause()
        assert not row.has_class("-faulty")


async def test_a_wrong_order_is_refused_with_the_reason(wizard, toy_place):
    async with wizard(toy_place, plan=PLAN).run_test(size=(100, 40)) as pilot:
        screen = await composing(pilot)
        await pilot.press("down", "down", "K")
        await pilot.pause()
        assert "cannot stand there" in status(pilot.app)
        assert "tune before quantizing" in status(pilot.app)
        assert screen.editor.plan == PLAN
        await pilot.press("up", "K")
        await until(pilot, lambda: screen.editor.steps[0].use == "tune/toy")
        await pilot.press("u")
        await until(pilot, lambda: screen.editor.plan == PLAN)


async def test_a_step_is_added_from_the_list(wizard, toy_place):
    async with wizard(toy_place, plan=Plan()).run_test(size=(100, 40)) as pilot:
        screen = await composing(pilot)
        assert "empty" in status(pilot.app)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceModal))
        await pilot.press("enter")
        await until(pilot, lambda: [s.use for s in screen.editor.steps] == ["retrieve/toy"])
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceModal))
        await pilot.press("escape", "x")
        await until(pilot, lambda: not screen.editor.steps)
        await pilot.press("x", "K", "J", "d")
        assert "no step" in status(pilot.app)


async def test_a_file_that_is_there_is_replaced_only_when_asked_twice(wizard, toy_place):
    path = toy_place.project.root / "plan.yaml"
    path.write_text("mine\n")
    async with wizard(toy_place, plan=PLAN).run_test(size=(100, 40)) as pilot:
        await composing(pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, FormModal))
        await pilot.press("enter")
        await pilot.pause()
        assert "is there already" in str(pilot.app.screen.query_one(".problem", Static).render())
        assert path.read_text() == "mine\n"
        await pilot.press("enter")
        await until(pilot, lambda: path.read_text() != "mine\n")
        assert load_plan(path) == PLAN


async def test_the_plan_of_the_folder_is_taken_up(wizard, toy_place):
    (toy_place.project.root / "plan.yaml").write_text("schema: 1\nsteps:\n- {use: tune/toy}\n")
    async with wizard(toy_place).run_test(size=(80, 24)) as pilot:
        screen = await composing(pilot)
        assert [s.use for s in screen.editor.steps] == ["tune/toy"]
        assert "(written)" in str(screen.query_one("#yaml").border_title)
        await pilot.press("y")
        assert screen.query_one("#yaml").display


async def test_a_plan_that_does_not_compose_tells_its_problems_and_does_not_run(wizard, toy_place):
    plan = Plan(steps=(Step(use="quantize/toy"), Step(use="tune/toy"), Step(use="tune/nobody")))
    async with wizard(toy_place, plan=plan).run_test(size=(100, 40)) as pilot:
        screen = await composing(pilot)
        assert "tune before quantizing" in text(screen, "#problem-lines")
        assert "no estimate" in text(screen, "#estimate")
        await pilot.press("g")
        assert pilot.app.shown.STEP == "compose"
        await pilot.press("end")
        await pilot.pause()
        assert "nothing installed has this name" in " ".join(str(s.render()) for s in screen.query(".note"))


STRANGER = '''
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
'''


async def test_a_plugin_installed_only_here_has_its_form_and_its_estimate(wizard, toy_project, only_toys):
    write_distribution(only_toys, "stranger", stranger=STRANGER)
    place = Workspace.find(toy_project, host=load_host())
    plan = Plan(steps=(Step(use="tune/stranger"),))
    async with wizard(place, plan=plan).run_test(size=(160, 50)) as pilot:
        screen = await composing(pilot)
        assert "400" in text(screen, "#estimate").replace("6m40s", "400") or "6" in text(screen, "#estimate")
        rows = {r.field.name: r for r in screen.query(SettingRow)}
        assert set(rows) == {"rank", "passages", "seconds", "careful", "layers"}
        assert "1 to 64 · default 4" in str(rows["rank"].query_one(".note", Static).render())
        assert rows["passages"].query(Select)
        rows["careful"].query_one(Checkbox).toggle()
        rows["layers"].query_one(Input).value = "3, 4"
        before = text(screen, "#estimate")
        await until(pilot, lambda: "careful: true" in text(screen, "#yaml-text"))
        assert screen.editor.steps[0].with_ == {"careful": True, "layers": [3, 4]}
        assert text(screen, "#estimate") != before
        await pilot.press("p")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChoiceModal))
        assert pilot.app.screen.query_one(OptionList).option_count == 2


def test_toys_are_what_the_plugin_builds_on():
    assert toys.ToyTune.name == "tune/toy"
