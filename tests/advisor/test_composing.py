import pytest
from advisor.onpaper import profile_of

from kistack.advisor.candidates import candidates
from kistack.advisor.composing import Compositions, Present, Watch
from kistack.domain.facts import Fact, Profile, declared


def holds(reads, profile):
    return Present(profile).holds(reads)


def test_a_watched_profile_reads_the_same_and_tells_what_was_read():
    plain = profile_of()
    watch = Watch(plain)
    seen = watch.profile
    assert seen.number("model.params") == plain.number("model.params")
    assert seen.text("nobody.knows", "x") == "x"
    assert "pairs.train" in seen
    assert seen.section("serving") == plain.section("serving")
    reads = watch.reads
    assert set(reads.facts) == {"model.params", "nobody.knows", "pairs.train"}
    assert holds(reads, profile_of())
    assert holds(reads, profile_of(scenario__limit_memory=1e9, corpus__tokens=5.0))
    assert not holds(reads, profile_of(pairs__train=5))
    assert not holds(reads, profile_of(serving__cores=9))
    assert not holds(reads, plain.updated({"serving.extra": Fact(1, "", "measured", "x")}))
    assert not holds(reads, plain.updated({"nobody.knows": Fact("y", "", "measured", "x")}))


def test_who_reads_all_facts_depends_on_all():
    watch = Watch(profile_of())
    assert watch.profile.digest == profile_of().digest
    assert holds(watch.reads, profile_of())
    assert not holds(watch.reads, profile_of(corpus__tokens=5.0))


def test_what_was_read_about_a_section_keeps_reads_of_all_facts():
    profile = Profile({n: declared(1, "w") for n in ("corpus.bytes", "corpus.parts.a", "pairs.train")})
    changed = {n: Present(profile.updated({n: declared(2, "w")})) for n in profile}

    def held(read, section):
        watch = Watch(profile)
        read(watch.profile)
        return {n for n, present in changed.items() if present.holds(watch.reads.about(section))}

    assert held(lambda p: p.number("pairs.train"), "corpus") == set(changed)
    assert held(lambda p: p["corpus.bytes"], "corpus") == {"corpus.parts.a", "pairs.train"}
    assert held(list, "corpus") == set()
    assert held(lambda p: p.section("corpus"), "corpus.parts") == {"pairs.train"}
    assert held(lambda p: p.section("corpus.parts"), "corpus") == {"corpus.bytes", "pairs.train"}


def test_a_missing_fact_is_missing_in_a_watched_profile():
    with pytest.raises(KeyError):
        Watch(Profile({})).profile["model.params"]


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"scenario__limit_memory": 1e9, "scenario__limit_latency": 1.0}, 0.0),
        ({"freshness__changed_per_day": 0.1, "scenario__queries_per_day": 7.0, "scenario__horizon_days": 9.0}, 0.0),
        ({"probe__closed_book": 0.5}, 0.0),
        ({"pairs__train": 50}, 1.0),
        ({"model__params": 5e8}, 1.0),
        ({"serving__bandwidth": 1e10}, 1.0),
    ],
)
def test_only_what_reads_a_changed_fact_is_composed_again(host, changes, share):
    compositions = Compositions(host)
    first = compositions.at(profile_of())
    assert compositions.count == len(first) == 54
    compositions.at(profile_of(**changes))
    again = compositions.count - 54
    assert again == 0 if share == 0 else again > 20
    before = compositions.count
    assert [c for _, c in compositions.at(profile_of())] == [c for _, c in first]
    assert compositions.count == before


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs__train": 50},
        {"model__params": 5e8, "model__bytes": 1e9},
        {"serving__bandwidth": 1e10, "hardware__ram_free": 2e9},
        {"corpus__documents": 9, "corpus__tokens": 1000},
        {"pairs__identity": None},
        {"pairs__prompt_tokens": 900},
    ],
)
def test_what_is_kept_equals_what_is_composed_afresh(host, changes):
    compositions = Compositions(host)
    compositions.at(profile_of())
    compositions.at(profile_of(model__params=3e8))
    kept = [c for _, c in compositions.at(profile_of(**changes))]
    afresh = candidates(profile_of(**changes), host, [])
    assert [c.plan for c in kept] == [c.plan for c in afresh]
    for one, other in zip(kept, afresh, strict=True):
        assert (one.pipeline is None) == (other.pipeline is None)
        assert one.problems == other.problems
        if one.pipeline is not None:
            assert one.pipeline.estimate == other.pipeline.estimate
            assert [n.outputs for n in one.pipeline.nodes] == [n.outputs for n in other.pipeline.nodes]
