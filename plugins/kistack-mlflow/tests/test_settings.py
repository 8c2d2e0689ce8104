from pathlib import Path

import pytest
from kistack_mlflow.settings import chosen, located, shielded

from kistack.domain.scenario import Scenario
from kistack.errors import InputError


def scenario(**more):
    return Scenario(name="desk", models={"base": "toy:base"}, **more)


def test_nothing_is_written_unless_somebody_names_a_store():
    assert chosen(scenario(), {}) is None
    assert chosen(scenario(trackers={"other": {}}), {}) is None
    found = chosen(scenario(), {"MLFLOW_TRACKING_URI": "/runs"})
    assert (found.uri, found.experiment) == ("file:///runs", "desk")
    found = chosen(scenario(trackers={"mlflow": {"uri": "/mine", "experiment": "x", "timeout": "5s"}}), {})
    assert (found.uri, found.experiment, found.timeout) == ("file:///mine", "x", 5)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({}, "trackers.mlflow names no store"),
        ({"url": "x"}, "trackers.mlflow.url: Extra inputs"),
        ({"uri": "x", "timeout": "soon"}, "trackers.mlflow.timeout: "),
        ({"uri": "x", "timeout": 0}, "trackers.mlflow.timeout: "),
    ],
)
def test_settings_of_no_use_are_named(section, message):
    with pytest.raises(InputError, match=message) as caught:
        chosen(scenario(trackers={"mlflow": section}), {})
    assert caught.value.hint


@pytest.mark.parametrize("uri", ["http://tracker:5000", "https://me:secret@tracker", "databricks", "postgresql://h/db"])
def test_nothing_leaves_a_machine_that_may_tell_nobody(uri):
    section = {"mlflow": {"uri": uri}}
    local = {"limits": {"local_only": True}}
    with pytest.raises(InputError, match=r"limits\.local_only is set") as caught:
        chosen(scenario(trackers=section, **local), {})
    assert "secret" not in str(caught.value)
    assert chosen(scenario(trackers=section), {}).uri == uri
    assert chosen(scenario(trackers={"mlflow": {"uri": "sqlite:////x/runs.db"}}, **local), {}).uri.endswith("runs.db")


def test_paths_start_at_the_scenario_and_passwords_are_not_shown():
    root = Path("/project")
    assert located("mlruns", root) == "file:///project/mlruns"
    assert located("/else where", root) == "file:///else%20where"
    assert located("sqlite:///runs.db", root) == "sqlite:////project/runs.db"
    assert located("sqlite:////runs.db", root) == "sqlite:////runs.db"
    assert located("https://host/x", root) == "https://host/x"
    assert shielded("see https://me:pw@host/x and ftp://a@b") == "see https://host/x and ftp://b"
