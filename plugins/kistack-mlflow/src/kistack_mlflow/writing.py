"""The process that writes: the only module that imports MLflow."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from kistack.bundle.archive import KeptRun, kept_run
from kistack_mlflow.content import Content, content_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

_SQLITE = "sqlite:///"
#: What one request may hold.
_NUMBERS, _TEXTS = 1000, 100
_REPORTS: dict[Literal["md", "html"], str] = {"md": "report.md", "html": "report.html"}


def main() -> None:
    """Write the run that the job on stdin names; what goes wrong ends the process with a traceback."""
    job = json.load(sys.stdin)
    kept = kept_run(Path(job["folder"]))
    write(job["uri"], job["experiment"], kept, scenario=job["scenario"])


def write(uri: str, experiment: str, kept: KeptRun, *, scenario: str = "") -> str:
    """Write a run with its reports; returns MLflow's id of it. What could not be written whole is marked as failed.

    Args:
        uri: the store, with an absolute path where it is local.
        experiment: its name; it is made where it is not there yet.
        kept: the run.
        scenario: the scenario's name.

    Raises:
        mlflow.exceptions.MlflowException: the store cannot be written, or refuses something.
    """
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    content = content_of(kept, scenario)
    owner = _experiment(client, uri, experiment)
    made = client.create_run(owner, start_time=content.started, tags=dict(content.tags), run_name=content.name)
    run = str(made.info.run_id)
    status = "FAILED"
    try:
        _log(client, run, content)
        for file in content.files:
            client.log_artifact(run, str(file))
        _reports(client, run, kept)
        status = content.status
    finally:
        client.set_terminated(run, status, end_time=content.ended)
    return run


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """The experiment's id. Files of an SQLite store lie beside it, not where the command happened to be given."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        beside = Path(uri.removeprefix(_SQLITE) + "-artifacts").as_uri() if uri.startswith(_SQLITE) else None
        try:
            return str(client.create_experiment(name, artifact_location=beside))
        except MlflowException:
            # Another run may have made it in the meantime.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _log(client: MlflowClient, run: str, content: Content) -> None:
    from mlflow.entities import Metric, Param

    numbers = (Metric(name, value, content.ended, 0) for name, value in content.metrics.items())
    for some in _batches(numbers, _NUMBERS):
        client.log_batch(run, metrics=some)
    for words in _batches((Param(name, text) for name, text in content.params.items()), _TEXTS):
        client.log_batch(run, params=words)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _reports(client: MlflowClient, run: str, kept: KeptRun) -> None:
    from kistack.reporting.evidence import gather
    from kistack.reporting.verbs import report_run

    evidence = gather(kept)
    with tempfile.TemporaryDirectory(prefix="kistack-mlflow-") as folder:
        for form, name in _REPORTS.items():
            path = Path(folder, name)
            path.write_text(report_run(evidence, form), encoding="utf-8")
            client.log_artifact(run, str(path))
