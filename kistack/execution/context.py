"""What a stage is given while it runs in a worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kistack.domain.artifacts import Artifact
from kistack.errors import PluginError, StepFailed
from kistack.execution.events import EventLog, LogLine, Progress
from kistack.execution.job import Job, load_stage
from kistack.execution.meter import resident_bytes

#: Progress is written at most this often, so that a tight loop does not spend its time on telling.
_PROGRESS_SECONDS = 0.2


class WorkerContext:
    """A ``kistack.plugins.stages.Context`` over a job file; sessions it opened close when it is left."""

    def __init__(self, job: Job, events: EventLog) -> None:
        self.job = job
        self.seed = job.seed
        self.scratch: Path = job.scratch
        self._events = events
        self._sessions: dict[str, Any] = {}
        self._closing = ExitStack()
        self._told = 0.0

    def input(self, port: str) -> Artifact:
        """The artifact at ``port``; KeyError where it is missing or holds several."""
        found = self.job.inputs.get(port, ())
        if len(found) == 1:
            return found[0]
        raise KeyError(f"port {port!r} holds {len(found)} artifacts" if found else f"nothing at port {port!r}")

    def inputs(self, port: str) -> Sequence[Artifact]:
        """All artifacts at ``port``."""
        return self.job.inputs.get(port, ())

    def out(self, name: str) -> Path:
        """The folder of output ``name``.

        Raises:
            PluginError: the stage's traits name no such output.

        """
        if name not in self.job.outs:
            raise PluginError(
                f"{self.job.use} (plugin {self.job.plugin}) writes an output {name!r} that its traits do not name",
                "report it to the plugin's author",
            )
        return self.job.outs[name]

    def open(self, port: str) -> Any:
        """The session of the artifact at ``port``: the same one each time.

        Raises:
            StepFailed: nothing that opens it was planned.

        """
        if port in self._sessions:
            return self._sessions[port]
        opener = self.job.openers.get(port)
        if opener is None:
            raise StepFailed(
                f"{self.job.use} (plugin {self.job.plugin}) opens port {port!r}, which its traits do not say",
                "report it to the plugin's author: Port(opened=True)",
            )
        artifact = self.input(port)
        if (remote := self.job.remotes.get(port)) is not None:
            from kistack.execution.remote import open_remote

            session: Any = open_remote(remote, opener.settings, artifact)
        else:
            stage = load_stage(opener.stage)
            session = stage.open(stage.Settings.model_validate(dict(opener.settings)), artifact, artifact.parts)
        self._sessions[port] = session
        close = getattr(session, "close", None)
        if close is not None:
            self._closing.callback(self._close, port, close)
        return session

    def progress(self, done: float, total: float, unit: str = "", **numbers: float) -> None:
        """Say how far it is; the last word of a step is always told, in between five a second are."""
        now = time.monotonic()
        if done < total and now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        plain = {name: float(value) for name, value in numbers.items()}
        self._events.write(
            Progress(
                key=self.job.key,
                done=float(done),
                total=float(total),
                unit=unit,
                numbers=plain,
                memory=float(resident_bytes()),
            )
        )

    def log(self, message: str) -> None:
        """One line for the run's log."""
        self._events.write(LogLine(key=self.job.key, message=str(message)))

    def close(self) -> None:
        """Close the sessions, the last opened first."""
        self._closing.close()

    def _close(self, port: str, close: Any) -> None:
        try:
            close()
        except Exception as error:  # noqa: BLE001 - a session may raise anything; the work itself is done
            self.log(f"closing {port!r} raised {type(error).__name__}: {error}")
