"""What is evaluated, and by which evaluators."""

import pytest
import toys
from facts import small_profile

from kistack.composition.composer import compose
from kistack.domain.plan import Plan
from kistack.errors import PlanError
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host


class Named:
    @hookimpl
    def kistack_register_evaluators(self):
        return [toys.NamedScores]


@pytest.fixture
def profile():
    return small_profile()


@pytest.fixture(scope="module")
def choosy():
    """A host with an evaluator that must be named."""
    return load_host(entry_points=False, extra={"toys": toys, "named": Named()})


@pytest.mark.parametrize(
    ("evaluate", "expected"),
    [
        ((), {"evaluate/toy", "evaluate/toy-perplexity"}),
        (("evaluate/named",), {"evaluate/named"}),
        (("defaults", "evaluate/named"), {"evaluate/toy", "evaluate/toy-perplexity", "evaluate/named"}),
        (("evaluate/toy",), {"evaluate/toy"}),
        (("toy", "defaults", "named"), {"evaluate/toy", "evaluate/toy-perplexity", "evaluate/named"}),
    ],
)
def test_an_evaluator_may_ask_to_be_named(choosy, profile, evaluate, expected):
    pipeline = compose(Plan(evaluate=evaluate), profile, choosy)
    assert set(pipeline.systems["baseline"].scores) == expected
    assert not any("not installed" in note for note in pipeline.notes)


def test_settings_of_an_evaluator_reach_it_and_change_its_key(choosy, profile):
    keys = set()
    for least in (1, 2, 3):
        named = {"use": "evaluate/named", "with": {"least": least}}
        pipeline = compose(Plan.model_validate({"evaluate": [named]}), profile, choosy)
        [node] = [n for n in pipeline.nodes if n.label == "evaluate/named" and n.purpose == "evaluation"][:1]
        assert node.settings.least == least
        keys.add(node.key)
    assert len(keys) == 3


def test_a_wrong_setting_of_an_evaluator_is_told_once(choosy, profile):
    wrong = Plan.model_validate({"evaluate": [{"use": "evaluate/named", "with": {"most": 1}}]})
    with pytest.raises(PlanError) as caught:
        compose(wrong, profile, choosy)
    [problem] = caught.value.problems
    assert problem.message == "evaluate/named has no setting 'most'"
    assert problem.where == "evaluate evaluate/named"


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("evaluate/toi", "no installed plugin has a stage 'evaluate/toi'", "did you mean evaluate/toy"),
        ("toi", "no installed plugin has a stage 'evaluate/toi'", "did you mean evaluate/toy"),
        ("tune/toy", "tune/toy scores no answers", "evaluate/toy"),
    ],
)
def test_an_evaluator_that_is_none_is_refused_with_close_names(choosy, profile, named, message, hint):
    with pytest.raises(PlanError) as caught:
        compose(Plan(evaluate=(named, "evaluate/toy", "defaults")), profile, choosy)
    [problem] = caught.value.problems
    assert (problem.where, problem.message) == (f"evaluate {named if '/' in named else f'evaluate/{named}'}", message)
    assert hint in problem.hint
    compose(Plan(evaluate=(named,)), profile, choosy, evaluation=False)
