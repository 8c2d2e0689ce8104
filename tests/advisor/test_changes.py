import pytest
from advisor.onpaper import profile_of
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor.changes import WhatIf, consequences, read_value, split_changes
from kistack.domain.scenario import Scenario
from kistack.errors import InputError, InvalidInput
from kistack.units import format_size


@pytest.fixture
def scenario():
    return Scenario(name="x", models={"base": "paper:135m"}, limits={"memory": "4GiB"})


def made(scenario, **changes):
    return WhatIf({k.replace("__", "."): v for k, v in changes.items()}, scenario, profile_of())


def test_changes_are_split_at_the_first_equals_sign():
    assert split_changes(["a.b=1", " c = x=y "]) == {"a.b": "1", "c": "x=y"}
    with pytest.raises(InvalidInput) as caught:
        split_changes(["a.b", "=3", "c=1", "c=2"])
    assert len(caught.value.problems) == 3
    with pytest.raises(InvalidInput, match="no value stands after the equals sign") as caught:
        split_changes(["limits.memory="])
    assert "limits.memory=null lifts a limit" in caught.value.hint


def test_keys_of_the_scenario_are_read_by_its_own_types(scenario):
    found = made(
        scenario, limits__memory="2GiB", limits__local_only="yes", knowledge__changes="2%/day", indifference="3",
        traffic__queries_per_day="5000", serve_on__ram_free="2GiB", horizon="30d", task__at_least="70%",
    )  # fmt: skip
    changed = found.changed
    assert changed.limits.memory == 2 * 1024**3
    assert changed.limits.local_only
    assert changed.knowledge.changes.per_day == pytest.approx(0.02)
    assert changed.traffic.queries_per_day == 5000
    assert changed.serve_on.ram_free == 2 * 1024**3
    assert changed.horizon == 30 * 86_400
    assert changed.task.at_least == pytest.approx(0.7)
    assert changed.indifference == 3
    assert scenario.limits.memory == 4 * 1024**3
    assert found.facts == {}


def test_a_machine_is_told_by_what_is_stated_of_it(scenario):
    found = made(scenario, serve_on="{ram: 8GiB, cores: 4}")
    [change] = found.told(profile_of())
    assert change.before == "this machine"
    assert change.after == "ram: 8GiB, cores: 4"


def test_facts_of_a_machine_are_stated_beside_its_name_in_either_order(scenario):
    both = {"serve_on": "raspberry-pi-5", "serve_on.ram_free": "2GiB"}
    for changes in (both, dict(reversed(both.items()))):
        changed = WhatIf(changes, scenario, profile_of()).changed.serve_on
        assert (changed.preset, changed.ram_free) == ("raspberry-pi-5", 2 * 1024**3)
    assert WhatIf({**both, "serve_on": "this"}, scenario, profile_of()).changed.serve_on.preset is None
    with pytest.raises(InvalidInput) as caught:
        WhatIf({**both, "serve_on": "no-such-machine"}, scenario, profile_of())
    assert [p.message for p in caught.value.problems if "no-such-machine" in p.message]


def test_a_limit_is_taken_away_with_null(scenario):
    assert made(scenario, limits__memory="null").changed.limits.memory is None


def test_facts_are_read_by_their_unit(scenario):
    found = made(scenario, pairs__train="1k", freshness__changed_per_day="1%/day", probe__closed_book="80%",
                 scenario__erasable="yes", scenario__task="behaviour", serving__ram_free="2GiB")  # fmt: skip
    values = {n: f.value for n, f in found.facts.items()}
    assert values["pairs.train"] == 1000
    assert values["freshness.changed_per_day"] == 0.01
    assert values["probe.closed_book"] == 0.8
    assert values["scenario.erasable"] is True
    assert values["scenario.task"] == "behaviour"
    assert {f.source for f in found.facts.values()} == {"declared"}
    assert found.changed is scenario


def test_all_mistakes_at_once_with_what_was_meant(scenario):
    with pytest.raises(InvalidInput) as caught:
        made(scenario, limits__memroy="2GiB", limits__latency_p95="quick", pairs__trian="4", pairs__train="few",
             probe__closed_book="140%", nobody="1", scenario__erasable="perhaps", model__params="-3")  # fmt: skip
    said = str(caught.value)
    for part in ("limits.memroy", "'quick'", "pairs.trian", "'few'", "140%", "nobody", "'perhaps'", "'-3'"):
        assert part in said
    assert len(caught.value.problems) == 8
    assert "did you mean 'memory'" in caught.value.hint
    assert "pairs.train" in caught.value.hint


def test_python_values_are_taken_as_they_are(scenario):
    found = made(scenario, limits__memory=10**9, pairs__train=7, scenario__erasable=True)
    assert found.changed.limits.memory == 10**9
    assert found.facts["pairs.train"].value == 7
    assert found.facts["scenario.erasable"].value is True


def test_what_was_changed_is_told_from_what_to_what(scenario):
    found = made(scenario, limits__memory="2GiB", pairs__train="50", limits__disk="1GB")
    after = profile_of().updated(found.facts)
    assert [(c.key, c.before, c.after) for c in found.told(after)] == [
        ("limits.memory", "4GiB", "2GiB"), ("pairs.train", "330", "50"), ("limits.disk", "not stated", "1GB"),
    ]  # fmt: skip


def test_a_model_of_another_size_has_another_shape():
    profile = profile_of()
    facts = consequences(profile, {"model.params": 8 * profile.number("model.params")})
    assert facts["model.layers"].value == 2 * profile.number("model.layers")
    assert facts["model.hidden"].value == 2 * profile.number("model.hidden")
    assert facts["model.bytes"].value == pytest.approx(8 * profile.number("model.bytes"))
    assert "model.vocab" not in facts
    stated = consequences(profile, {"model.params": 1e9, "model.layers": 12})
    assert stated["model.layers"].value == 12


def test_more_pairs_take_more_bytes():
    facts = consequences(profile_of(), {"pairs.train": 660})
    assert facts["pairs.train_bytes"].value == pytest.approx(2 * profile_of().number("pairs.train_bytes"))


def test_days_may_be_written_as_a_duration():
    assert read_value("12w", "day", 1.0) == 84
    assert read_value("30", "day", 1.0) == 30
    assert read_value("2h", "s", 1.0) == 7200
    assert read_value("50 GB/s", "B/s", 1.0) == 5e10


@given(st.integers(0, 10**13))
def test_sizes_read_back(size):
    assert read_value(format_size(size), "B", 0.0) == size


@given(st.text(max_size=12), st.sampled_from(["B", "s", "share", "1/day", "day", "B/s", "USD", "", "points"]))
def test_a_value_is_a_number_or_refused(text, unit):
    try:
        found = read_value(text, unit, 1.0)
    except InputError:
        return
    assert found >= 0
    assert found < float("inf")
