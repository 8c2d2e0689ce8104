import pytest
import toys

from kistack.bundle.admission import admit, over_limits
from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.errors import PlanError
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))


def limited(toy_project, host, limits):
    scenario = toy_project / "kistack.yaml"
    scenario.write_text(scenario.read_text().replace("memory: 4GB", limits))
    return Workspace.find(toy_project, host=host)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("memory: 500B", "memory: it needs"),
        ("disk: 10B", "disk: it needs"),
    ],
)
def test_a_plan_by_hand_that_exceeds_a_limit_is_refused_before_anything_starts(toy_project, toy_host, limits, said):
    place = limited(toy_project, toy_host, limits)
    with pytest.raises(PlanError, match=said) as caught:
        place.run(place.compose(PLAN))
    assert "raise limits." in caught.value.hint
    assert "--over-limits" in caught.value.hint
    assert place.project.ledger().runs() == []
    assert not place.project.runs.exists() or not any(place.project.runs.iterdir())


def test_every_exceeded_limit_is_told_at_once(toy_project, toy_host):
    place = limited(toy_project, toy_host, "memory: 500B, disk: 10B")
    with pytest.raises(PlanError) as caught:
        place.admit(place.compose(PLAN), where="plan.yaml")
    assert len(caught.value.problems) == 2
    assert str(caught.value).startswith("plan.yaml: 2 problems")


def test_what_is_asked_for_expressly_runs_over_its_limits(toy_project, toy_host):
    place = limited(toy_project, toy_host, "memory: 500B")
    assert place.run(place.compose(PLAN), over_limits=True).status == "done"


def test_a_plan_that_is_only_slow_is_told_and_runs(toy_project, toy_host):
    place = limited(toy_project, toy_host, "training_time: 1s")
    said = []
    place = Workspace.find(toy_project, host=toy_host, notify=said.append)
    pipeline = place.compose(PLAN)
    refused, slow = over_limits(pipeline, place.scenario, place.profile())
    assert (refused, [r.limit for r in slow]) == ([], ["training time"])
    [line] = admit(pipeline, place.scenario, place.profile())
    assert "1 s allowed" in line
    assert place.run(pipeline).status == "done"
    assert line in said


def test_an_evaluator_that_sends_answers_away_is_refused_where_nothing_may_leave(toy_project):
    class Named:
        @hookimpl
        def kistack_register_evaluators(self):
            return [toys.NamedScores]

    host = load_host(entry_points=False, extra={"toys": toys, "named": Named()})
    place = limited(toy_project, host, "local_only: yes")
    named = Plan(steps=PLAN.steps, evaluate=({"use": "evaluate/named"},))
    with pytest.raises(PlanError, match="evaluate/named talks to other machines"):
        place.admit(place.compose(named), where="plan.yaml")
    place.admit(place.compose(PLAN), where="plan.yaml")
