"""Asking bundles from the wizard: answers as they come, sources, two beside each other, processes that die."""

import pytest
from textual.widgets import Input, OptionList
from tui.piloting import SIZES, drive

from kistack.domain.plan import Plan, Step
from kistack.tui.screens.modals import ChoiceModal, PageModal

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))
QUESTION = "What is the latest release of Product3"


@pytest.mark.parametrize("size", SIZES)
def test_a_question_is_answered_with_its_sources(desk_session, desk, ran, size):
    ran(desk, PLAN)

    async def script(wheel):
        await wheel.judged_at("ask")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.talks)
        # Keys of the screen are text in the line.
        await wheel.write(QUESTION)
        assert screen.query_one(Input).value == QUESTION
        await wheel.press("enter")
        [talk] = screen.talks
        await wheel.until(lambda: talk.answer and not talk.busy, 60)
        assert talk.answer == "1.3"
        assert talk.passages[0].document == "Product3.md"
        await wheel.press("escape", "o", "enter")
        await wheel.until(lambda: isinstance(wheel.app.screen, PageModal))
        assert "The latest release of Product3 is 1.3" in wheel.picture()
        await wheel.press("escape", "i")
        assert isinstance(screen.focused, Input)

    drive(desk_session, script, size)
    assert any(c.startswith("kistack ask") for c in desk_session.commands)


def test_two_bundles_answer_beside_each_other(desk_session, desk, ran):
    ran(desk, Plan(), PLAN)

    async def script(wheel):
        await wheel.judged_at("ask")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.talks)
        await wheel.press("escape", "c")
        await wheel.choose(1)
        await wheel.until(lambda: len(screen.talks) == 2)
        await wheel.press("i")
        await wheel.write(QUESTION)
        await wheel.press("enter")
        await wheel.until(lambda: all(t.answer and not t.busy for t in screen.talks), 60)
        assert [t.answer for t in screen.talks] == ["1.3", "unknown"]
        await wheel.press("escape", "c")
        await wheel.until(lambda: len(screen.talks) == 1)

    drive(desk_session, script, (160, 50))


def test_a_process_that_dies_is_told_and_started_anew(desk_session, desk, ran):
    ran(desk, PLAN)

    async def script(wheel):
        await wheel.judged_at("ask")
        screen = wheel.app.shown
        await wheel.until(lambda: screen.talks)
        [talk] = screen.talks
        for question, happens in ((QUESTION, "1.3"), (QUESTION, ""), (QUESTION, "1.3")):
            await wheel.write(question)
            if not happens:
                talk.chat._process.kill()
                talk.chat._process.wait()
                talk.chat._process.poll = lambda: None
            await wheel.press("enter")
            await wheel.until(lambda: not talk.busy, 60)
            if not happens:
                assert "killed by signal 9" in wheel.picture()
                del talk.chat._process.poll
            else:
                assert talk.answer == happens

    drive(desk_session, script, (160, 50))


def test_what_cannot_be_asked_is_told(desk_session, desk):
    async def script(wheel):
        await wheel.judged_at("ask")
        screen = wheel.app.shown
        await wheel.press("x", "enter")
        assert "no bundle to ask" in wheel.status
        await wheel.press("escape", "o", "c")
        await wheel.until(lambda: isinstance(wheel.app.screen, ChoiceModal))
        await wheel.press("tab")
        wheel.app.screen.query_one(Input).value = "nowhere"
        wheel.app.screen.query_one(Input).focus()
        await wheel.press("enter")
        assert "is not a bundle" in wheel.text(".problem")
        await wheel.press("escape")
        assert not screen.talks
        assert not screen.query(OptionList)

    drive(desk_session, script)
