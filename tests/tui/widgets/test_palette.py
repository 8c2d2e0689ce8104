import asyncio

from textual.app import App
from textual.command import CommandList

from kistack.tui.widgets.palette import Palette


def test_what_still_looks_for_commands_may_find_the_list_gone():
    async def main():
        app = App()
        async with app.run_test() as pilot:
            palette = Palette(id="--command-palette")
            await app.push_screen(palette)
            await pilot.press("q", "u")
            await pilot.pause(0.1)
            assert palette.query_one(CommandList).option_count
            await palette.query_one(CommandList).remove()
            palette._list_visible = not palette._list_visible
            palette._show_busy = not palette._show_busy
            await pilot.press("escape")
            await pilot.pause()
            assert app.screen is not palette

    asyncio.run(main())


def test_that_nothing_was_found_is_not_told_to_a_list_that_is_gone(monkeypatch):
    monkeypatch.setattr(Palette, "_NO_MATCHES_COUNTDOWN", 0.05)

    async def main(leave):
        app = App()
        async with app.run_test() as pilot:
            palette = Palette(id="--command-palette")
            await app.push_screen(palette)
            palette._start_no_matches_countdown("nothing like it")
            if leave:
                await palette.query_one(CommandList).remove()
            await pilot.pause(0.2)
            return [] if leave else [option.id for option in palette.query_one(CommandList).options]

    assert Palette._NO_MATCHES in asyncio.run(main(leave=False))
    assert asyncio.run(main(leave=True)) == []
