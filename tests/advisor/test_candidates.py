import itertools

import pytest
from advisor import onpaper
from advisor.onpaper import profile_of

from kistack.advisor.candidates import MOST_PLANS, PER_TECHNIQUE, candidates, options, plans, starting_types
from kistack.domain.records import Estimate
from kistack.plugins.hookspecs import hookimpl
from kistack.plugins.host import load_host
from kistack.plugins.stages import TECHNIQUES, Traits


def host_with(*stages):
    """The stages on paper and further ones, registered by a plugin of their own."""

    class Plugin:
        @hookimpl
        def kistack_register_retrievers(self):
            return [s for s in stages if s.name.startswith("retrieve/")]

        @hookimpl
        def kistack_register_distillers(self):
            return [s for s in stages if s.name.startswith("distill/")]

        @hookimpl
        def kistack_register_tuners(self):
            return [s for s in stages if s.name.startswith("tune/")]

        @hookimpl
        def kistack_register_quantizers(self):
            return [s for s in stages if s.name.startswith("quantize/")]

    return load_host(entry_points=False, extra={"paper": onpaper, "further": Plugin()}, disabled=())


def test_all_subsets_times_all_suggestions(host):
    notes = []
    found = candidates(profile_of(), host, notes)
    assert notes == []
    assert len(found) == 3 * 2 * 3 * 3
    names = {frozenset(c.plan.techniques) for c in found}
    assert names == {frozenset(s) for n in range(5) for s in itertools.combinations(TECHNIQUES, n)}
    assert found[0].plan.steps == ()
    assert all(c.pipeline is not None for c in found)


def test_steps_are_arranged_so_that_they_compose(host):
    found = options(profile_of(), host, [])
    for plan, problems in plans({t: found[t][:1] for t in TECHNIQUES}, host):
        assert not problems
        kinds = [s.kind for s in plan.steps]
        assert kinds == sorted(kinds, key=TECHNIQUES.index)


def test_suggestions_depend_on_the_profile(host):
    alone = options(profile_of(), host, [])["distill"]
    taught = options(profile_of(teacher__reference="paper:7b", teacher__params=7e9), host, [])["distill"]
    assert [s.with_ for s in alone] == [{}]
    assert [s.with_ for s in taught] == [{"keep": 1.0}]


def test_what_cannot_be_composed_is_kept_with_the_composers_words(host):
    found = candidates(profile_of(pairs__identity=None), host, [])
    broken = [c for c in found if c.pipeline is None]
    assert {t for c in broken for t in c.plan.techniques} >= {"tune", "distill"}
    assert all(c.problems[0].hint == "name pairs under knowledge.pairs" for c in broken)
    assert all(not {"tune", "distill"} & set(c.plan.techniques) for c in found if c.pipeline is not None)


def test_several_stages_of_a_technique_take_turns():
    class Other(onpaper.PaperTune):
        name = "tune/other"

        def suggest(self, profile, inputs):
            return [onpaper.Rank(rank=r) for r in (1, 2, 2, 3, 4, 5, 6, 7)]

    steps = options(profile_of(), host_with(Other), [])["tune"]
    assert len(steps) == PER_TECHNIQUE
    assert [s.use for s in steps][:4] == ["tune/other", "tune/paper", "tune/other", "tune/paper"]
    assert [s.with_.get("rank") for s in steps if s.use == "tune/other"] == [1, 2, 3, 4]


def test_the_number_of_plans_is_bounded():
    class Many(onpaper.PaperTune):
        name = "tune/many"

        def suggest(self, profile, inputs):
            return [onpaper.Rank(rank=r) for r in range(1, 50)]

    class ManyKinds(onpaper.PaperQuantize):
        name = "quantize/many"

        def suggest(self, profile, inputs):
            return [onpaper.Kind(kind=k) for k in ("Q8_0", "Q6_K", "Q5_0", "Q5_1", "Q4_0", "Q4_1")]

    class ManyRetrieve(onpaper.PaperRetrieve):
        name = "retrieve/many"

        def suggest(self, profile, inputs):
            return [onpaper.TopK(top_k=k) for k in range(1, 9)]

    class ManyDistill(onpaper.PaperDistill):
        name = "distill/many"

        def suggest(self, profile, inputs):
            return [onpaper.Student(keep=k / 10) for k in range(1, 9)]

    found = options(profile_of(), host_with(Many, ManyKinds, ManyRetrieve, ManyDistill), [])
    total = 1
    for steps in found.values():
        total *= 1 + len(steps)
    assert total <= MOST_PLANS
    assert total > MOST_PLANS / 2
    assert {t: found[t][0].use for t in TECHNIQUES} == {t: f"{t}/many" for t in TECHNIQUES}


def test_a_stage_that_raises_is_noted_and_harms_no_other():
    class Broken(onpaper.PaperTune):
        name = "tune/broken"

        def suggest(self, profile, inputs):
            raise ZeroDivisionError("oh")

    notes = []
    found = options(profile_of(), host_with(Broken), notes)
    assert {s.use for s in found["tune"]} == {"tune/paper"}
    assert len(notes) == 1
    assert "tune/broken was not judged" in notes[0]
    assert "ZeroDivisionError" in notes[0]


def test_a_stage_whose_estimate_raises_is_a_rejected_candidate():
    class Broken(onpaper.PaperQuantize):
        name = "quantize/broken"

        def estimate(self, settings, profile, inputs):
            raise ValueError("no idea")

    found = candidates(profile_of(), host_with(Broken), [])
    broken = [c for c in found if any(s.use == "quantize/broken" for s in c.plan.steps)]
    assert broken
    assert all(c.pipeline is None and "no idea" in c.problems[0].message for c in broken)


def test_rules_that_contradict_each_other_reject_the_plan():
    class First(onpaper.PaperTune):
        name = "tune/first"

        def traits(self, settings):
            given = super().traits(settings)
            return Traits(
                consumes=given.consumes, produces=given.produces, after=("quantize/*",), before=("quantize/*",)
            )

        def suggest(self, profile, inputs):
            return [onpaper.Rank()]

        def estimate(self, settings, profile, inputs):
            return Estimate({}, {"model": {"bytes": 1.0}})

    found = candidates(profile_of(), host_with(First), [])
    both = [c for c in found if {s.use for s in c.plan.steps} == {"tune/first", "quantize/paper"}]
    assert both
    assert all(c.pipeline is None for c in both)


def test_techniques_that_nothing_serves_are_noted():
    notes = []
    empty = load_host(entry_points=False, disabled=())
    found = options(profile_of(), empty, notes)
    assert not any(found.values())
    assert notes == [f"{t} was not judged: nothing is installed for it" for t in TECHNIQUES]


def test_starting_types_describe_the_scenarios_inputs():
    found = starting_types(profile_of(embedder__reference="paper:mini", embedder__hidden=384))
    assert found["model"].fact("layers") == 30
    assert found["model"].facets["precision"] == "bf16"
    assert found["embedder"].kind == "embedder"
    assert found["pairs"].fact("count") == 330
    assert "teacher" not in found


@pytest.mark.parametrize("seed", [0, 7])
def test_the_seed_reaches_every_plan(host, seed):
    assert {c.plan.seed for c in candidates(profile_of(), host, [], seed=seed)} == {seed}
