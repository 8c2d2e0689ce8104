"""Where runs are written: the section ``trackers.mlflow`` of a scenario, or the variable that MLflow itself reads."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError

from kistack.domain.fields import Seconds
from kistack.domain.scenario import Scenario
from kistack.errors import InputError
from kistack.plugins.stages import Settings

NAME = "mlflow"
URI_VARIABLE = "MLFLOW_TRACKING_URI"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_SQLITE = "sqlite:///"
#: Words by which MLflow knows a server.
_ELSEWHERE = frozenset({"databricks", "databricks-uc"})


class Tracking(Settings):
    """Settings of the tracker."""

    uri: str = Field(
        "",
        description="the store: a folder, sqlite:///FILE, or a server's address (default: MLFLOW_TRACKING_URI); paths "
        "are relative to kistack.yaml",
    )
    experiment: str = Field("", description="the experiment's name (default: the scenario's)")
    timeout: Seconds = Field(120.0, gt=0, description="how long writing one run may take, such as 2min")


def chosen(scenario: Scenario, environment: Mapping[str, str] | None = None) -> Tracking | None:
    """The settings with nothing left open; None where neither scenario nor environment names a store.

    Args:
        scenario: ``trackers.mlflow`` comes before the environment.
        environment: variables (default: this process's).

    Raises:
        InputError: unknown or wrong settings, no store although the section is there, or a store elsewhere although
            nothing may leave this machine.
    """
    section = scenario.trackers.get(NAME)
    variable = (os.environ if environment is None else environment).get(URI_VARIABLE, "").strip()
    if section is None and not variable:
        return None
    try:
        tracking = Tracking.model_validate(dict(section or {}))
    except ValidationError as error:
        first = error.errors()[0]
        spot = ".".join(str(p) for p in ("trackers", NAME, *first["loc"]))
        known = ", ".join(Tracking.model_fields)
        raise InputError(f"{spot}: {first['msg']}", f"settings are {known}") from error
    if not (tracking.uri or variable):
        raise InputError(f"trackers.{NAME} names no store", f"add uri: mlruns, or set {URI_VARIABLE}")
    # As MLflow does, a path in the variable starts where the command was given.
    uri = located(tracking.uri, scenario.folder) if tracking.uri else located(variable, Path.cwd())
    if scenario.limits.local_only and not is_local(uri):
        raise InputError(
            f"{shielded(uri)} may lie on another machine, and limits.local_only is set",
            f"name a folder or sqlite:///FILE under trackers.{NAME}.uri, or allow it: local_only: no",
        )
    return tracking.model_copy(update={"uri": uri, "experiment": tracking.experiment or scenario.name})


def located(uri: str, root: Path) -> str:
    """The store's address with an absolute path, where it is a folder or an SQLite file.

    >>> located("mlruns", Path("/project"))
    'file:///project/mlruns'
    >>> located("sqlite:///runs.db", Path("/project"))
    'sqlite:////project/runs.db'
    """
    if uri.startswith(_SQLITE):
        return _SQLITE + str(Path(root, Path(uri.removeprefix(_SQLITE)).expanduser()))
    if _SCHEME.match(uri) or uri in _ELSEWHERE:
        return uri
    return Path(root, Path(uri).expanduser()).as_uri()


def is_local(uri: str) -> bool:
    """Whether a located address is a file or folder of this machine."""
    return uri.startswith((_SQLITE, "file:///"))


def shielded(text: str) -> str:
    """A text without the user names and passwords that addresses in it carry."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)
