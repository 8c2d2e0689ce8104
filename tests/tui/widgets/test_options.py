import asyncio

import pytest
from textual.app import App
from textual.widgets import OptionList

from kistack.tui.widgets.options import mend_paging


def highlighted(*keys, width):
    """Where the keys lead in a list of nine on so many columns."""

    mend_paging()
    mend_paging()  # a second wizard in the same process changes nothing

    class Listing(App):
        CSS = f"OptionList {{ border: none; width: {width}; height: 3; scrollbar-size: 0 0; }}"

        def compose(self):
            yield OptionList(*map(str, range(9)))

    async def main():
        app = Listing()
        async with app.run_test(size=(20, 5)) as pilot:
            listed = app.query_one(OptionList)
            listed.focus()
            listed.highlighted = 4
            await pilot.pause()
            await pilot.press(*keys)
            return listed.highlighted

    return asyncio.run(main())


@pytest.mark.parametrize(("key", "there"), [("pageup", 1), ("pagedown", 7)])
def test_pages_are_as_high_as_the_list(key, there):
    assert highlighted(key, width=10) == there


@pytest.mark.parametrize(("key", "there"), [("pageup", 0), ("pagedown", 8)])
def test_without_room_for_a_line_paging_goes_to_the_ends(key, there):
    assert highlighted(key, width=0) == there
