from dataclasses import replace

from sweeping.planted import SETS, plan

from kistack.sweeping.ordering import in_order, remaining
from kistack.sweeping.rows import Combination, set_name


def combination(cell, roles=("factorial",), tune=100.0):
    """Every technique is a step whose work is shared as far as the techniques before it are the same."""
    seconds, key = {"base": 5.0}, "base"
    for step in plan(cell)["steps"]:
        key += "/" + step["use"]
        seconds[key] = tune if step["use"].startswith("tune") else 10.0
    seconds[key + "/answers"] = 10.0
    return Combination(set_name(tuple(cell)), plan(cell), roles, seconds=seconds)


def sweep_of(advised="retrieve+tune"):
    made = [combination(cell) for cell in SETS]
    return [replace(c, roles=(*c.roles, "advised")) if c.name == advised else c for c in made]


def test_the_bare_model_and_the_advised_plan_are_first():
    names = [c.name for c in in_order(sweep_of())]
    assert names[:2] == ["nothing", "retrieve+tune"]
    assert sorted(names) == sorted(set_name(tuple(s)) for s in SETS)


def test_every_technique_is_met_before_the_rest_is_completed():
    names = [c.name for c in in_order(sweep_of())]
    first = names[:5]
    assert {t for n in first for t in n.split("+")} >= {"retrieve", "tune", "quantize", "distill"}


def test_what_is_dear_and_tells_no_more_waits():
    cheap, dear = combination({"distill"}), combination({"tune"}, tune=10_000.0)
    assert [c.name for c in in_order([dear, cheap])] == ["distill", "tune"]


def test_shared_steps_cost_nothing_again():
    both, one = combination({"retrieve", "tune"}), combination({"retrieve"})
    assert remaining(both, set()) == 5 + 10 + 100 + 10
    assert remaining(both, set(one.seconds)) == 110
    assert remaining(one, set(one.seconds)) == 1


def test_the_order_does_not_depend_on_how_they_were_listed():
    names = [c.name for c in in_order(sweep_of())]
    assert [c.name for c in in_order(sweep_of()[::-1])][:4] == names[:4]


def test_what_cannot_be_composed_is_last():
    broken = replace(combination({"retrieve"}), problem="no retriever is installed", seconds={})
    assert [c.name for c in in_order([broken, combination({"tune"})])] == ["tune", "retrieve"]
