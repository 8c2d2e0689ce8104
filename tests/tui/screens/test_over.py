import pytest
from tui.piloting import drive

from kistack.tui.screens.confirm import ConfirmModal
from kistack.tui.screens.help import HelpScreen
from kistack.tui.screens.modals import PageModal
from kistack.tui.widgets.palette import Palette


@pytest.mark.parametrize(
    "over",
    [
        lambda: ConfirmModal("?", "?", "Yes"),
        lambda: PageModal("a", "b"),
        lambda: HelpScreen("a", "b", []),
        Palette,
    ],
    ids=["confirm", "page", "help", "palette"],
)
def test_leaving_again_before_it_is_gone_leaves_the_step(session, over):
    results = []

    async def script(wheel):
        await wheel.opened()
        modal = over()
        wheel.app.push_screen(modal, results.append)
        await wheel.until(lambda: len(wheel.app.screen_stack) == 3)
        for _ in range(3):
            modal.dismiss()
        await wheel.until(lambda: len(wheel.app.screen_stack) == 2)
        await wheel.pilot.pause(0.05)
        assert len(wheel.app.screen_stack) == 2
        assert wheel.step == "start"

    drive(session, script)
    assert results == [None]
