"""Where a plan is written, and what is never replaced unasked."""

import pytest

from kistack.domain.plan import Plan, Step
from kistack.domain.planfile import load_plan
from kistack.errors import InputError
from kistack.tui.plan_files import PlanTarget, says

PLAN = Plan(steps=(Step(use="tune/x"),))


def test_a_plan_is_written_where_it_is_named(tmp_path):
    target = PlanTarget(tmp_path, PLAN)
    path = target.check(" plan.yaml ")
    assert path == tmp_path / "plan.yaml"
    target.write(path)
    assert load_plan(path) == PLAN
    assert says(path, PLAN)
    assert target.check(str(path)) == path


def test_another_file_is_replaced_when_it_is_named_twice(tmp_path):
    (tmp_path / "a.yaml").write_text("mine")
    target = PlanTarget(tmp_path, PLAN)
    for name in ("a.yaml", "b.yaml", "a.yaml"):
        if name == "a.yaml" and target._asked is None:
            with pytest.raises(InputError, match="is there already"):
                target.check(name)
        else:
            assert target.check(name)
    assert (tmp_path / "a.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "  ", ".", "nowhere/plan.yaml", "kistack.yaml"])
def test_what_is_no_plans_file_is_refused(tmp_path, name):
    with pytest.raises(InputError) as refused:
        PlanTarget(tmp_path, PLAN).check(name)
    assert refused.value.hint


def test_a_file_that_says_something_else_is_no_plan_of_ours(tmp_path):
    assert not says(None, PLAN)
    assert not says(tmp_path / "x", PLAN)
    (tmp_path / "x").write_text("steps: 3")
    assert not says(tmp_path / "x", PLAN)
