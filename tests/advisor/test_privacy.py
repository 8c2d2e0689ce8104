import pytest
from advisor.onpaper import profile_of
from advisor.parted import NAMES, parted

from kistack.advisor.candidates import composed
from kistack.advisor.privacy import Privacy, private_parts
from kistack.advisor.recommend import advise
from kistack.domain.plan import Plan, Step

RULE = "rule private-documents-stay-out-of-weights"
ERASABLE = {"erasable": ["law"]}


def step(use, *select):
    return Step(use=f"{use}/paper", select=select)


def reaches(host, profile, *steps):
    found = composed(Plan(steps=steps), profile, host)
    assert found.problems == ()
    return Privacy(profile).reaches_weights(found.pipeline)


def test_private_parts_bear_a_mark():
    assert private_parts(parted(marks={"erasable": ["law"], "per_user_access": ["log"]})) == {"law", "log"}
    assert private_parts(parted()) == frozenset()
    assert private_parts(profile_of(scenario__erasable=True)) == frozenset()


@pytest.mark.parametrize(
    ("steps", "private"),
    [
        ([], False),
        ([step("retrieve"), step("quantize")], False),
        ([step("tune")], True),
        ([step("tune", "manual", "law")], True),
        ([step("tune", "manual", "log")], False),
        ([step("tune", "!law"), step("quantize")], False),
        ([step("distill", "manual"), step("tune")], True),
        ([step("retrieve"), step("tune", "!law")], True),  # passages of it are shown to the trainer
        ([step("retrieve", "!law"), step("tune", "!law")], False),
        ([step("tune", "!law"), step("retrieve")], False),
        ([step("retrieve", "!law"), step("tune", "!law"), step("retrieve")], False),
    ],
)
def test_what_reaches_weights(host, steps, private):
    assert reaches(host, parted(marks=ERASABLE), *steps) is private
    assert reaches(host, parted(), *steps) is False


def test_what_nobody_can_tell_counts_as_private(host):
    selected = step("tune", "manual")
    untold = parted(pairs=dict.fromkeys(NAMES, 0), marks=ERASABLE)
    assert reaches(host, untold, selected)
    unmarked = parted(scenario__erasable=True)
    assert reaches(host, unmarked, selected)
    bare = profile_of(scenario__per_user_access=True)
    assert reaches(host, bare, selected)
    assert not reaches(host, bare, step("retrieve"))


def test_training_on_public_parts_is_advised_where_others_are_private(host, scenario):
    advice = advise(scenario, parted(marks=ERASABLE, scenario__task="both"), host)
    for candidate in advice.candidates:
        trains = {"tune", "distill"} & set(candidate.plan.techniques)
        learnt = {p for s in candidate.plan.steps if s.kind in {"tune", "distill"} for p in s.select or NAMES}
        barred = RULE in {r.limit for r in candidate.rejections}
        assert barred == ("law" in learnt) if trains else not barred
    kept = [c for c in advice.kept if "tune" in c.plan.techniques]
    assert {c.name for c in kept} >= {"tune", "retrieve+tune", "tune+quantize"}
    reasons = {r.rule: r.because for c in kept for r in c.reasons}
    assert "learnt: " in reasons["placement"]


def test_nothing_may_be_trained_on_where_every_part_is_private(host, scenario):
    advice = advise(scenario, parted(marks={"per_user_access": NAMES}), host)
    assert not [c for c in advice.kept if {"tune", "distill"} & set(c.plan.techniques)]
    assert advice.kept
