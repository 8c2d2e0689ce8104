"""The tracker on a whole run: what MLflow's own client reads back, and that no store can harm a run."""

from pathlib import Path

import pytest
import toys
from kistack_mlflow import hooks

from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.execution.events import EVENTS_FILE, Warned, read_events
from kistack.plugins.host import load_host

pytestmark = pytest.mark.system

PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="tune/toy")))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def tracked(project, section):
    with (project / "kistack.yaml").open("a") as file:
        file.write(f"trackers: {section}\n")
    host = load_host(entry_points=False, extra={"toys": toys, "mlflow": hooks})
    place = Workspace.find(project, host=host)
    record = place.run(place.compose(PLAN))
    events = read_events(place.project.run_folder(record.run) / EVENTS_FILE)
    return record, [e.message for e in events if isinstance(e, Warned)], events[-1]


def check_store(uri, record, project):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    owner = client.get_experiment_by_name("desk")
    (run,) = client.search_runs([owner.experiment_id])
    assert (run.info.run_name, run.info.status) == (record.run, "FINISHED")
    data = run.data
    assert data.tags["kistack.scenario"] == "toy-desk"
    assert data.tags["environment.python"] == record.environment["python"]
    assert data.params["plan/01.use"] == "retrieve/toy"
    assert data.params["fact/pairs.train"] == "8"
    found = record.systems["plan"].metrics["contained"]
    assert data.metrics["plan/contained"] == found.value == 1
    assert data.metrics["plan/contained.low"] == found.low < 1
    assert data.metrics["baseline/contained"] == 0
    for number, step in enumerate(record.steps, 1):
        assert data.metrics[f"steps/{number:02} {step.use}/seconds.measured"] == step.measured["seconds"]
        for name, value in step.predicted.items():
            assert data.metrics[f"steps/{number:02} {step.use}/{name}.predicted"] == value
    folder = client.download_artifacts(run.info.run_id, "", str(project.parent))
    names = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert names == {"manifest.json", "record.json", "plan.json", "profile.json", "report.md", "report.html"}
    assert record.run in Path(folder, "report.md").read_text()


# MLflow 3.17 on SQLAlchemy 2.1: in the test's own reading, the run writes in a process of its own.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
@pytest.mark.parametrize(
    "store", ["mlruns", pytest.param("sqlite:///runs.db", marks=pytest.mark.system)], ids=["folder", "sqlite"]
)
def test_the_store_holds_what_the_run_found(toy_project, store):
    record, warnings, last = tracked(toy_project, f"{{mlflow: {{uri: '{store}', experiment: desk}}}}")
    assert (warnings, last.status) == ([], "done")
    uri = f"sqlite:///{toy_project}/runs.db" if "sqlite" in store else (toy_project / "mlruns").as_uri()
    check_store(uri, record, toy_project)


def test_neither_a_broken_store_nor_a_missing_tracker_fails_the_run(toy_project):
    (toy_project / "mlruns").write_text("this is no folder")
    record, warnings, last = tracked(toy_project, "{mlflow: {uri: mlruns}, mlfow: {uri: mlruns}}")
    assert (record.status, last.status) == ("done", "done")
    missing, broken = warnings
    assert missing == "trackers.mlfow: no plugin of this name follows runs"
    assert broken.startswith(f"plugin mlflow: the MLflow store file://{toy_project}/mlruns was not written: ")
    assert (toy_project / "mlruns").read_text() == "this is no folder"
