import asyncio

import pytest
from textual.events import Resize
from textual.geometry import Size
from textual.screen import Screen
from tui.piloting import drive

OLD, NEW = Size(90, 30), Size(120, 40)


async def in_front(wheel, what):
    """The screen that is meant, as it comes to stand there."""
    if what == "over":
        await wheel.press("f1")
    elif what == "palette":
        await wheel.press("f2")
    await wheel.pilot.pause()
    return wheel.app.screen_stack[0] if what == "ground" else wheel.app.screen


@pytest.mark.parametrize("what", ["ground", "step", "over", "palette"])
def test_two_sizes_at_once_do_not_chase_each_other(session, monkeypatch, what):
    laid_out = []

    async def script(wheel):
        await wheel.judged()
        screen = await in_front(wheel, what)
        was = Screen._screen_resized

        def counted(self, size):
            laid_out.append((self, size))
            was(self, size)

        monkeypatch.setattr(Screen, "_screen_resized", counted)
        for size in (OLD, NEW):
            screen.post_message(Resize(size, size))
            screen.call_later(lambda: None)
        # A busy screen: textual takes one size for the other only where nothing lies between.
        for _ in range(200):
            screen.call_later(lambda: None)
            await asyncio.sleep(0.002)
        return screen

    screen = drive(session, script, size=tuple(NEW))
    assert laid_out
    assert len(laid_out) < 10
    assert laid_out[-1][1] == NEW
    assert all(size == NEW for one, size in laid_out if one is screen)
