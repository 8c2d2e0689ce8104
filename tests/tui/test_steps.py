import pytest

from kistack.errors import InputError
from kistack.tui.session import Session
from kistack.tui.steps import STEPS, beside, check_open, find_step


def test_steps_are_numbered_as_the_keys_that_lead_to_them():
    assert [s.name for s in STEPS] == [
        "start", "profile", "goals", "recommendation", "compose", "run", "results", "ask",
    ]  # fmt: skip
    assert find_step("goals").screen == "GoalsScreen"


def test_there_is_nothing_beyond_the_ends():
    assert beside("start", -1) is None
    assert beside("ask", 1) is None
    assert beside("profile", 1).name == "goals"


def test_all_but_the_first_need_a_project(tmp_path):
    session = Session(tmp_path)
    check_open(STEPS[0], session)
    for step in STEPS[1:]:
        with pytest.raises(InputError) as caught:
            check_open(step, session)
        assert caught.value.hint
