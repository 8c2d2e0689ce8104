"""A stage that states what is no number is told by name, and spoils no advice about others."""

import pytest
import toys

import kistack
from kistack.bundle.workspace import Workspace
from kistack.composition.soundness import checked
from kistack.domain.records import Estimate
from kistack.errors import PlanError, PluginError
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import Opens, Out, Traits

SOUND = Estimate({"seconds": 1.0}, {"index": {"bytes": 3, "count": 2.0}})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (SOUND, ""),
        (Estimate({"seconds": float("nan")}), "says seconds = nan, which is no finite number"),
        (Estimate({"seconds": float("inf")}), "says seconds = inf"),
        (Estimate({}, {"index": {"bytes": "many"}}), "says index.bytes = 'many'"),
        (Estimate({"seconds": None}), "says seconds = None"),
        (None, "returned NoneType, not an Estimate"),
        ({"seconds": 1}, "returned dict"),
    ],
)
def test_what_is_stated_must_be_finite_numbers(toy_host, found, said):
    if not said:
        assert checked(toy_host, "retrieve/toy", "estimate", lambda: found) is found
        return
    with pytest.raises(PluginError, match=r"plugin toys: retrieve/toy\.estimate") as told:
        checked(toy_host, "retrieve/toy", "estimate", lambda: found)
    assert said in told.value.message
    assert "KISTACK_DISABLE_PLUGINS=toys" in told.value.hint


class Lying(toys.ToyRetrieve):
    name = "retrieve/lying"

    def traits(self, settings):
        sound = super().traits(settings)
        out = Out(kind="index", format="lying", serve=True)
        opens = (Opens(kind="index", format="lying", gives=("search",)),)
        return Traits(consumes=sound.consumes, produces={"index": out}, opens=opens)


class NoTime(Lying):
    def estimate(self, settings, profile, inputs):
        return Estimate({"seconds": float("nan")}, {"index": {"bytes": float("nan")}})


class NoServing(Lying):
    def serving(self, settings, profile, artifact, load):
        return Estimate({"query_seconds": float("nan")})


class RaisingServing(Lying):
    def serving(self, settings, profile, artifact, load):
        raise RuntimeError("no idea")


@pytest.mark.parametrize("lying", [NoTime, NoServing, RaisingServing])
def test_advice_about_others_is_given_and_a_plan_with_it_is_refused(lying, toy_project):
    class Plugin:
        @hookimpl
        def kistack_register_retrievers(self):
            return [lying]

    host = load_host(entry_points=False, extra={"toys": toys, "liar": Plugin()})
    place = Workspace.find(toy_project, host=host)
    advice = place.advise()
    kept = {s.use for c in advice.candidates if c.estimate is not None for s in c.plan.steps}
    assert "retrieve/toy" in kept
    with pytest.raises((PlanError, PluginError), match="plugin liar: retrieve/lying"):
        place.compose(kistack.Plan(steps=(kistack.Step(use="retrieve/lying"),)))
