"""The registry of facts agrees with what profiling produces and with what candidates offer."""

import pytest
from advisor.onpaper import profile_of

from kistack.advisor.conditions import CANDIDATE_FIELDS, SECTIONS
from kistack.advisor.grids import PLAIN
from kistack.advisor.vocabulary import VOCABULARY, known, strangers
from kistack.bundle.workspace import Workspace


def paths(profile):
    return [tuple(name.split(".")) for name in profile if name.partition(".")[0] in SECTIONS]


def test_every_fact_of_a_real_profile_is_known(toy_project, toy_host):
    profile = Workspace.find(toy_project, host=toy_host).profile()
    assert strangers(paths(profile)) == {}
    for path in paths(profile):
        found, value = known(path), profile[".".join(path)].value
        if value is None:
            continue
        if found.kind == "flag":
            assert isinstance(value, bool), path
        elif found.kind == "text":
            assert isinstance(value, str), path
            assert not found.values or value in found.values, path
        else:
            assert found.low <= value <= found.high, path
            assert found.kind != "count" or value == int(value), path


def test_facts_of_every_profile_are_there(toy_project, toy_host):
    profile = Workspace.find(toy_project, host=toy_host).profile()
    always = {".".join(p) for p, k in VOCABULARY.items() if k.always and p[0] != "candidate"}
    assert always <= set(profile)


def test_every_fact_of_profiles_on_paper_is_known():
    assert (
        strangers(paths(profile_of(probe__closed_book=0.5, serving__gpu0_free=1e9, teacher__bars_training=True))) == {}
    )


def test_what_a_candidate_offers_is_known_and_searched():
    offered = {p[1] for p in VOCABULARY if p[0] == "candidate"}
    assert offered == set(CANDIDATE_FIELDS) == set(PLAIN)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("pairs.trian", "pairs.train"),
        ("serving.ramfree", "serving.ram_free"),
        ("candidate.bit", "candidate.bits"),
        ("corpus.zzz", ""),
        ("pairs.train.more", "pairs.train"),
    ],
)
def test_strangers_have_the_nearest_name(name, near):
    assert strangers([tuple(name.split("."))]) == {name: near}


def test_settings_of_stages_may_have_any_name():
    assert strangers([("candidate", "settings", "tune", "rank"), ("pairs",)]) == {}
