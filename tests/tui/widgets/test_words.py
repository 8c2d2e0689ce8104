import asyncio

import pytest
from textual.app import App
from textual.content import Content
from textual.widgets import Static

from kistack.tui.widgets.words import Words


def updated(before, after, css="width: 20; height: auto;"):
    """What an update asks for, and the places of the text and of what stands below it afterwards."""
    asked = []

    class Noting(Words):
        def refresh(self, *regions, repaint=True, layout=False, recompose=False):
            asked.append((repaint, layout))
            return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    class Page(App):
        CSS = f"#words {{ {css} }} #below {{ height: 1; }}"

        def compose(self):
            yield Noting(before, id="words")
            yield Static("below", id="below")

    async def main():
        app = Page()
        async with app.run_test(size=(40, 10)) as pilot:
            words = app.query_one(Words)
            await pilot.pause()
            asked.clear()
            words.update(after)
            told = list(asked)
            await pilot.pause(0.05)
            shown = "".join(segment.text for segment in app.screen._compositor.render_strips()[0])
            return told, words.region, app.query_one("#below").region.y, shown.strip()

    return asyncio.run(main())


def test_what_it_says_already_is_not_drawn_again():
    told, *_, shown = updated(Content("as it was"), Content("as it was"))
    assert told == []
    assert shown == "as it was"


def test_other_words_of_the_same_size_are_drawn_where_they_stand():
    told, _, below, shown = updated(Content("seven apples"), Content("eight pears!"))
    assert told == [(True, False)]
    assert below == 1
    assert shown == "eight pears!"


def test_only_a_style_is_drawn_too():
    told, *_ = updated(Content("a word"), Content.assemble(("a word", "bold")))
    assert told == [(True, False)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [("short", "as long as two lines of this", 2), ("as long as two lines of this", "short", 1), ("one", "a\nb\nc", 3)],
)
def test_more_and_fewer_lines_move_what_stands_below(before, after, lines):
    told, region, below, _ = updated(Content(before), Content(after))
    assert told == [(True, True)]
    assert (region.height, below) == (lines, lines)


def test_a_wider_text_gets_its_room():
    told, region, *_, shown = updated(Content("narrow"), Content("not as narrow"), "width: auto; height: auto;")
    assert told == [(True, True)]
    assert region.width == len("not as narrow")
    assert shown == "not as narrow"


def test_lines_within_the_least_height_move_nothing():
    told, region, below, _ = updated(Content("one"), Content("one\ntwo"), "width: 20; height: auto; min-height: 3;")
    assert told == [(True, False)]
    assert (region.height, below) == (3, 3)


def test_what_is_no_content_is_laid_out_as_ever():
    told, *_, shown = updated("plain", "[b]marked up[/b]")
    assert told == [(True, True)]
    assert shown == "marked up"


def test_where_the_size_is_given_nothing_is_laid_out():
    told, region, *_ = updated(Content("one"), Content("one\ntwo\nthree"), "width: 20; height: 2;")
    assert told == [(True, False)]
    assert region.height == 2
