"""The plan's file: whether it says what the plan does, and that none is replaced unasked."""

from __future__ import annotations

from pathlib import Path

from kistack.domain.plan import Plan
from kistack.domain.planfile import dump_plan, load_plan
from kistack.errors import InputError, KistackError
from kistack.storage.files import write_atomic

PLAN_NAME = "plan.yaml"


def says(path: Path | None, plan: Plan) -> bool:
    """Whether a file says what the plan does."""
    if path is None or not path.is_file():
        return False
    try:
        return load_plan(path) == plan
    except KistackError:
        return False


class PlanTarget:
    """Where a plan is to be written. A file that is there is only replaced when it is named twice.

    Args:
        folder: what a relative path starts from.
        plan: the plan to write.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder = folder
        self._plan = plan
        self._asked: Path | None = None

    def path(self, text: str) -> Path:
        """The file that a text names."""
        path = Path(text.strip()).expanduser()
        return path if path.is_absolute() else self._folder / path

    def check(self, text: str) -> Path:
        """The file, if it may be written.

        Raises:
            InputError: it is no file's name, its folder is missing, or it is there and was not named twice.
        """
        path = self.path(text)
        if not text.strip() or path.is_dir():
            raise InputError("a file's name is needed", f"for instance {PLAN_NAME}")
        if not path.parent.is_dir():
            raise InputError(f"there is no folder {path.parent}", "name a folder that exists")
        if path.name == "kistack.yaml":
            raise InputError("kistack.yaml is the scenario, not a plan", f"take another name, such as {PLAN_NAME}")
        if path.exists() and not says(path, self._plan) and self._asked != path:
            self._asked = path
            raise InputError(f"{path.name} is there already, and says something else", "take again to replace it")
        return path

    def write(self, path: Path) -> None:
        """Write the plan.

        Raises:
            InputError: the file cannot be written.
        """
        if says(path, self._plan):
            return
        try:
            write_atomic(path, dump_plan(self._plan))
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}", "choose another folder") from error
