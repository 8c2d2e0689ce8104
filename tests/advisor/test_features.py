import pytest
from advisor.onpaper import profile_of

from kistack.advisor.candidates import composed
from kistack.advisor.features import UNKNOWN_PARAMS, features_of, index_seconds, stored_bits
from kistack.domain.artifacts import Type
from kistack.domain.plan import Plan, Step


@pytest.fixture
def read(host):
    def reading(*uses, profile=None, **changes):
        profile = profile_of(**changes) if profile is None else profile
        steps = tuple(u if isinstance(u, Step) else Step(use=u) for u in uses)
        found = composed(Plan(steps=steps), profile, host)
        assert not found.problems
        return features_of(profile, found.pipeline)

    return reading


def test_the_base_alone(read):
    found = read()
    assert (found.params, found.passages, found.changes) == (134.5e6, 0, ())
    assert found.trains_on == frozenset()
    assert (found.task, found.metric, found.hazard, found.horizon_days) == ("facts", "contained", 0.0005, 90)


def test_all_four_techniques_in_a_line(read):
    found = read("retrieve/paper", "distill/paper", "tune/paper", "quantize/paper")
    assert [c.kind for c in found.changes] == ["distill", "tune", "merge", "quantize"]
    distill, tune, _, quantize = found.changes
    assert found.passages == 3
    assert 0.5 < distill.ratio < 0.7  # half the layers, all of the vocabulary
    assert distill.teacher == 134.5e6
    assert tune.ratio == 1.0
    assert distill.with_passages
    assert tune.with_passages
    assert distill.pairs == tune.pairs == 330
    assert distill.tokens > 330 * 53
    assert quantize.bits == (16.0, 8.5)
    assert found.trains_on == {"corpus", "pairs"}


def test_without_retrieval_training_sees_bare_pairs(read):
    found = read("tune/paper")
    assert not found.changes[0].with_passages
    assert found.trains_on == {"pairs"}


def test_quantizing_alone_trains_on_nothing(read):
    found = read("retrieve/paper", Step(use="quantize/paper", with_={"kind": "Q4_0"}))
    assert found.trains_on == frozenset()
    assert [c.bits for c in found.changes] == [(16.0, 4.5)]


def test_equal_features_are_equal_whatever_they_were_trained_on(read):
    assert read("tune/paper") == read(Step(use="tune/paper", with_={"rank": 64}))
    assert len({read("tune/paper"), read(Step(use="tune/paper", with_={"rank": 64})), read()}) == 2


def test_probes_come_with_the_error_of_their_sample(read):
    found = read(probe__closed_book=0.1, probe__recall=0.95, probe__pairs=40)
    assert [(n, s) for n, s, _ in found.measured] == [("closed_book", 0.1), ("recall", 0.95)]
    assert all(0.02 < spread < 0.08 for *_, spread in found.measured)


def test_an_index_that_takes_long_is_refreshed_less_often(read, host):
    assert read("retrieve/paper").refresh_days == 1
    assert read("retrieve/paper", corpus__documents=1e6).refresh_days == 7
    profile = profile_of()
    pipeline = composed(Plan(steps=(Step(use="retrieve/paper"), Step(use="tune/paper"))), profile, host).pipeline
    assert index_seconds(pipeline) == pytest.approx(15 + 1136 / 40)


def test_a_model_of_unknown_size(read):
    profile = profile_of(model__params=None, model__bytes=1e9)
    assert read(profile=profile).params == UNKNOWN_PARAMS


@pytest.mark.parametrize(
    ("facets", "facts", "expected"),
    [
        ({"precision": "Q8_0"}, {}, 8.5),
        ({"precision": "odd"}, {"params": 1e9, "bytes": 1e9}, 8.0),
        ({}, {"params": 1e9, "bytes": 0.5e9}, 4.0),
        ({}, {}, 16.0),
    ],
)
def test_stored_bits(facets, facts, expected):
    assert stored_bits(Type("model", facets=facets, facts=facts)) == expected
