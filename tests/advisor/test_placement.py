import pytest
from advisor.parted import NAMES, RATES, parted
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.advisor.candidates import MOST_PLACED, MOST_PLANS, candidates, composed
from kistack.advisor.placement import APART, Placement, moving_parts, placed, placement_text, placements
from kistack.composition.selection import selected_parts
from kistack.domain.plan import Plan, Step
from kistack.plugins.stages import TECHNIQUES


def rates(**each):
    return parted({**dict.fromkeys(NAMES, 0.001), **each})


@pytest.mark.parametrize(
    ("each", "moving"),
    [
        ({}, set()),
        ({"log": 0.0049}, set()),
        ({"log": 0.005}, {"log"}),
        ({"log": 0.01, "law": 0.003}, {"log"}),
        ({"log": 0.02, "law": 0.01}, {"log", "law"}),
        ({"manual": 0.0, "law": 0.0, "log": 0.0}, set()),
        ({"manual": 0.0, "law": 1e-7, "log": 1e-6}, set()),  # nothing moves within anybody's horizon
        ({"manual": 0.0}, {"law", "log"}),
        ({"manual": None, "log": 0.1}, {"manual", "log"}),  # nobody knows that it stands still
        ({"manual": None}, set()),
    ],
)
def test_moving_parts_lie_above_the_widest_gap(each, moving):
    assert moving_parts(rates(**each)) == moving


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-7, 0.9)), min_size=3, max_size=3))
def test_what_moves_is_faster_than_all_that_stands(each):
    given_rates = dict(zip(NAMES, each, strict=True))
    moving = moving_parts(parted(given_rates))
    still = set(NAMES) - moving
    assert still
    if moving:
        assert min(given_rates[n] for n in moving) >= max(given_rates[n] for n in still)
        assert max(given_rates.values()) >= APART * min(given_rates.values())


def test_parts_are_placed_by_volatility():
    assert placements(parted()) == [
        Placement(("log",), ("manual", "law")),
        Placement((), ("manual", "law")),
    ]
    assert placements(rates()) == []


def test_parts_are_placed_by_privacy():
    private = frozenset({"law"})
    assert placements(parted(dict.fromkeys(NAMES, 0.001), marks={"erasable": ["law"]})) == [
        Placement((), ("manual", "log"), private, retrieves=False)
    ]
    assert placements(parted(marks={"per_user_access": ["law"]})) == [
        Placement(("law", "log"), ("manual",), private),  # what is not learnt is looked up
        Placement((), ("manual",), private),
        Placement((), ("manual", "log"), private, retrieves=False),
    ]
    # Learning what is public and learning what stands still are the same here.
    assert placements(parted(marks={"erasable": ["log"]})) == [
        Placement(("log",), ("manual", "law"), frozenset({"log"})),
        Placement((), ("manual", "law"), frozenset({"log"}), retrieves=False),
    ]


def test_nothing_is_placed_that_pairs_do_not_tell_apart():
    assert placements(parted(pairs=dict.fromkeys(NAMES, 0))) == []
    assert placements(parted(pairs={"manual": 0, "law": 0, "log": 70})) == []
    assert placements(parted(pairs={"manual": 0, "law": 0, "log": 70}, marks={"erasable": ["log"]})) == []


STEPS = tuple(Step(use=f"{t}/paper") for t in TECHNIQUES)


def selections(steps):
    return [(s.kind, s.select) for s in steps]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (
            Placement(("log",), ("manual",)),
            [("retrieve", ("log",)), ("distill", ("manual",)), ("tune", ("manual",)), ("quantize", ())],
        ),
        (
            Placement((), ("manual",)),
            [("retrieve", ()), ("distill", ("manual",)), ("tune", ("manual",)), ("quantize", ())],
        ),
        (  # trainers are shown passages of public parts, the index that answers holds all
            Placement((), ("manual",), frozenset({"law"})),
            [
                ("retrieve", ("manual", "log")),
                ("distill", ("manual",)),
                ("tune", ("manual",)),
                ("quantize", ()),
                ("retrieve", ()),
            ],
        ),
        (  # nothing that is retrieved may be shown to trainers
            Placement(("law",), ("manual",), frozenset({"law"})),
            [("distill", ("manual",)), ("tune", ("manual",)), ("quantize", ()), ("retrieve", ("law",))],
        ),
    ],
)
def test_steps_select_as_they_are_placed(host, way, expected):
    steps = placed(STEPS, way, NAMES, host)
    assert selections(steps) == expected
    profile = parted()
    found = composed(Plan(steps=steps), profile, host)
    assert found.problems == ()
    index = set(way.index) or None
    assert selected_parts(found.pipeline) == {"index": index, "weights": set(way.weights)}


def test_a_placement_suits_plans_that_train():
    both, alone = Placement((), ("a",)), Placement((), ("a",), retrieves=False)
    tune, retrieve, quantize = STEPS[2], STEPS[0], STEPS[3]
    assert both.suits([retrieve, tune])
    assert not both.suits([tune])
    assert alone.suits([tune])
    assert not alone.suits([retrieve, quantize])


def test_candidates_place_parts_apart_where_they_change_apart(host):
    found = candidates(parted(), host, [])
    whole = candidates(rates(), host, [])
    assert [c.plan for c in found[: len(whole)]] == [c.plan for c in whole]
    apart = found[len(whole) :]
    assert len(apart) == MOST_PLACED
    assert len(found) < MOST_PLANS
    assert all(c.pipeline is not None for c in apart)
    assert len({repr(c.plan) for c in found}) == len(found)
    kinds = {frozenset(c.plan.techniques) for c in apart}
    assert kinds == {frozenset(c.plan.techniques) for c in whole if _both(c.plan.techniques)}
    placed_as = {tuple(sorted((n, p) for n, p in selected_parts(c.pipeline).items())) for c in apart}
    assert placed_as == {
        (("index", frozenset({"log"})), ("weights", frozenset({"manual", "law"}))),
        (("index", None), ("weights", frozenset({"manual", "law"}))),
    }


def _both(techniques):
    return "retrieve" in techniques and {"tune", "distill"} & set(techniques)


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0001, 0.001, 0.02]), min_size=3, max_size=3),
    st.sets(st.sampled_from(NAMES)),
)
def test_placed_candidates_compose_and_never_select_a_private_part_for_training(host, each, private):
    profile = parted(dict(zip(NAMES, each, strict=True)), marks={"erasable": private})
    for found in candidates(profile, host, []):
        trained = [s for s in found.plan.steps if s.select and s.kind != "retrieve"]
        assert found.pipeline is not None
        assert all(not private & set(s.select) for s in trained)


def test_where_parts_are_is_told_with_their_rates(host):
    profile = parted()
    steps = (Step(use="retrieve/paper", select=("log",)), Step(use="tune/paper", select=("manual", "law")))
    text = placement_text(profile, composed(Plan(steps=steps), profile, host).pipeline)
    assert text == (
        "looked up: log (2.00% of it changes per day); learnt: law (0.02% of it changes per day), "
        "manual (0.01% of it changes per day)"
    )
    everything = composed(Plan(steps=(steps[1], Step(use="retrieve/paper"))), profile, host).pipeline
    assert placement_text(profile, everything).startswith("looked up: every part; learnt: law")
    assert placement_text(profile, composed(Plan(steps=STEPS), profile, host).pipeline) == ""
    assert set(RATES) == set(NAMES)
