import subprocess
import sys

import pytest
from kistack_mlflow import hooks

from kistack.domain.scenario import Scenario
from kistack.plugins.host import load_host


def test_help_with_the_plugin_loaded_imports_nothing_heavy():
    code = (
        "import sys, kistack_mlflow.hooks as hooks; from kistack.plugins.host import load_host;"
        "assert load_host(entry_points=False, extra={'mlflow': hooks}).problems == ();"
        "from kistack.cli import main; assert main.run(['--help']) == 0;"
        "heavy = {'mlflow', 'sqlalchemy', 'fastapi', 'torch', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_mistake_in_the_settings_is_told_when_the_run_starts(tmp_path):
    host = load_host(entry_points=False, extra={"mlflow": hooks})
    assert host.followers() == {"mlflow"}
    wrong = Scenario(name="desk", models={"base": "toy:base"}, trackers={"mlflow": {"url": "x"}})
    lines = host.call("kistack_run_started", run="r", scenario=wrong, folder=tmp_path)
    assert lines == [
        "plugin mlflow: trackers.mlflow.url: Extra inputs are not permitted (settings are uri, experiment, timeout)"
    ]
    assert (
        host.call("kistack_run_started", run="r", scenario=Scenario(name="d", models={"base": "b"}), folder=tmp_path)
        == []
    )


def test_without_a_store_nothing_is_started(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    hooks.kistack_run_finished(scenario=Scenario(name="d", models={"base": "b"}), folder=tmp_path)
