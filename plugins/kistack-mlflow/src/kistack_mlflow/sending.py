"""Writing happens in a process of its own: MLflow is heavy to import, reads its own variables, and may hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kistack.errors import StoreError
from kistack.units import format_duration
from kistack_mlflow.settings import Tracking, shielded

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from kistack_mlflow.writing import main; main()"

#: Usage statistics would leave the machine; a folder as a store must be asked for since MLflow 3.7.
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}


def send(tracking: Tracking, folder: Path, scenario: str) -> None:
    """Write the run of a scenario, by its name, that lies in ``folder``.

    Raises:
        StoreError: the store cannot be written, or does not answer in time.
    """
    where = shielded(tracking.uri)
    job = {"uri": tracking.uri, "experiment": tracking.experiment, "folder": str(folder), "scenario": scenario}
    command = [sys.executable, "-P", "-c", _START, json.dumps([p for p in sys.path if p])]
    try:
        # The address may hold a password: it goes through stdin, where no list of processes shows it.
        done = subprocess.run(
            command,
            input=json.dumps(job),
            env={**os.environ, **_ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=tracking.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StoreError(
            f"the MLflow store {where} did not answer within {format_duration(tracking.timeout)}",
            "the run itself is kept; raise trackers.mlflow.timeout, or see whether the store works",
        ) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        fault = shielded(lines[-1].strip()) if lines else f"exit code {done.returncode}"
        raise StoreError(f"the MLflow store {where} was not written: {fault}", "the run itself is kept")
