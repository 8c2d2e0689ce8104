import pytest

from kistack.domain.scenario import load_scenario
from kistack.errors import InputError, InvalidInput
from kistack.tui.session import Session
from kistack.tui.stating import adopt, describe, save, stated, value_text


def test_a_goal_keeps_facts_and_candidates_and_moves_what_is_judged(opened):
    bench, before = opened.bench, opened.profile
    adopt(opened, {"limits.memory": "1MB"})
    assert opened.bench is not bench
    assert opened.bench.compositions is bench.compositions
    assert opened.profile.number("scenario.limit_memory") == 1e6
    assert opened.profile.number("corpus.documents") == before.number("corpus.documents")
    assert opened.place.scenario.limits.memory == 1_000_000
    assert not opened.bench.judgement.kept


def test_another_machine_asks_for_profiling_again(opened):
    adopt(opened, {"serve_on": "raspberry-pi-5"})
    assert opened.profile is None
    assert opened.bench is None
    assert opened.place.profile()["serving.ram_total"].source == "assumed"


def test_a_value_that_does_not_fit_changes_nothing(opened):
    bench = opened.bench
    with pytest.raises(InvalidInput):
        adopt(opened, {"limits.memory": "plenty"})
    assert opened.changes == {}
    assert opened.bench is bench


def test_nothing_is_written_until_saved_and_then_only_what_changed(opened, toy_project):
    path = toy_project / "kistack.yaml"
    path.write_text("# mine\n" + path.read_text() + "# the end\n")
    before = path.read_text()
    adopt(opened, {"limits.memory": "2GB", "horizon": "30d"})
    assert path.read_text() == before
    assert save(opened) == path
    text = path.read_text()
    assert text.startswith("# mine\n")
    assert "# the end" in text
    assert load_scenario(path).limits.memory == 2_000_000_000
    assert load_scenario(path).horizon == 30 * 86_400
    assert opened.changes == {}
    kept = [line for line in before.splitlines() if "memory" not in line]
    assert all(line in text.splitlines() for line in kept)


def test_a_stated_machine_is_written_as_a_whole(opened, toy_project):
    adopt(opened, {"serve_on": "raspberry-pi-5"})
    adopt(opened, {"serve_on.ram_free": "2GiB"})
    save(opened)
    assert "serve_on: {preset: raspberry-pi-5, ram_free: 2GiB}" in (toy_project / "kistack.yaml").read_text()


def test_a_limit_that_is_emptied_is_no_limit(opened, toy_project):
    adopt(opened, {"limits.memory": ""})
    assert opened.scenario.limits.memory is None
    save(opened)
    assert load_scenario(toy_project).limits.memory is None


def test_saving_refuses_a_file_that_was_broken_meanwhile(opened, toy_project):
    adopt(opened, {"horizon": "30d"})
    (toy_project / "kistack.yaml").write_text("schema: 1\nname: toy-desk\nmodels: {base: 'toy:base'}\nwrong: 1\n")
    with pytest.raises(InputError):
        save(opened)
    assert "30d" not in (toy_project / "kistack.yaml").read_text()
    assert opened.changes


def test_saving_nothing_says_so(opened, tmp_path):
    with pytest.raises(InputError, match="nothing was changed"):
        save(opened)
    with pytest.raises(InputError, match="no project"):
        stated(Session(tmp_path), {"horizon": "1d"})


@pytest.mark.parametrize(
    ("key", "text"),
    [("limits.memory", "4GB"), ("horizon", "90d"), ("indifference", "2"), ("task.kind", "facts"), ("limits.disk", ""),
     ("serve_on", "this"), ("limits.local_only", "no"), ("knowledge.changes", "1%/day"), ("models.base", "toy:base")],
)  # fmt: skip
def test_values_are_shown_as_a_user_writes_them(toy_place, key, text):
    assert value_text(toy_place.scenario, key) == text


def test_keys_are_described_by_the_scenario_itself():
    assert "memory while serving" in describe("limits.memory")
    assert describe("no.such.key") == ""
