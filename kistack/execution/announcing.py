"""What a run says: events to its file and to whoever watches, hooks to the plugins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from kistack.execution.events import EVENTS_FILE, Event, EventLog, EventReader, Warned


class Hooks(Protocol):
    """What the runner asks of the plugin host."""

    def get(self, name: str) -> Any:
        """The entry of a stage by name; its ``stage`` is the instance."""
        ...

    def call(self, hook: str, **arguments: Any) -> list[str]:
        """Call a lifecycle hook of every plugin; one line for each that raised."""
        ...


class Announcer:
    """Writes events and passes on all that appear in the file, those of the worker too.

    Neither a broken display nor a plugin's hook that raises ends a run: both become warnings.
    """

    def __init__(self, run_dir: Path, hooks: Hooks | None, on_event: Callable[[Event], None] | None) -> None:
        self._run = run_dir.name
        self._hooks = hooks
        self._on_event = on_event
        self._log = EventLog(run_dir / EVENTS_FILE)
        self._reader = EventReader(self._log.path)
        self._reader.skip()

    def tell(self, event: Event) -> None:
        """Write an event and pass it on."""
        self._log.write(event)
        self.pump()

    def warn(self, message: str) -> None:
        """Tell of something that is wrong but does not stop the run."""
        self.tell(Warned(message=message))

    def pump(self) -> int:
        """Pass on what was written since the last time; returns how many events that were."""
        news = self._reader.read()
        for event in news:
            if self._on_event is None:
                break
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001 - a display may raise anything
                self._on_event = None
                self.warn(f"the display of progress raised {type(error).__name__}: {error}")
        return len(news)

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a lifecycle hook of every plugin."""
        if self._hooks is None:
            return
        try:
            faults = self._hooks.call(hook, run=self._run, **arguments)
        except Exception as error:  # noqa: BLE001 - a tracker may raise anything
            faults = [f"{hook} raised {type(error).__name__}: {error}"]
        for fault in faults or ():
            self.warn(fault)
