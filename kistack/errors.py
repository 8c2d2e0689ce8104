"""One root for everything kistack raises on purpose: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the user's input: where it stands, what is wrong, what would be accepted."""

    where: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class KistackError(Exception):
    """Root of all errors kistack raises: one line that says what and where, one line of remedy.

    ``exit_code`` is what the command line ends with: 1 for work that failed, 2 for wrong usage or input.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[KistackError], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class InputError(KistackError):
    """The user's input cannot be used; nothing was started and nothing was lost."""

    exit_code = 2


class InvalidInput(InputError):
    """Several problems found in one input, reported together.

    ``problems`` keeps them apart for programs; ``str()`` lists them all.
    """

    def __init__(self, what: str, problems: Sequence[Problem]) -> None:
        self.what = what
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{what}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  {p}" for p in self.problems)]))
        self.hint = "\n".join(dict.fromkeys(p.hint for p in self.problems if p.hint))

    def __reduce__(self) -> tuple[type[InvalidInput], tuple[str, tuple[Problem, ...]]]:  # type: ignore[override]
        return type(self), (self.what, self.problems)


class ScenarioError(InvalidInput):
    """The scenario file does not say what kistack can read."""


class PlanError(InvalidInput):
    """A plan that cannot be read or composed."""


class DataError(InputError):
    """Documents or pairs that cannot be used."""


class ModelError(InputError):
    """A model that cannot be found, read, or fitted into the stated memory."""


class PluginError(KistackError):
    """A plugin that cannot be loaded or broke its contract; the message names it."""


class StoreError(KistackError):
    """The store could not keep or give back an artifact."""


class FolderError(InputError, StoreError):
    """A folder that results are to be kept in cannot be used: it is not writable, or a file stands in its place."""


class StepFailed(KistackError):
    """A step ended in an error; the message names the step and the plugin it came from."""


class Cancelled(KistackError):
    """The run was stopped on request; finished steps are kept."""
