"""The project folder: ``kistack.yaml`` is the user's, everything kistack makes lies in ``.kistack/`` beside it."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from kistack.domain.calibration import UNCALIBRATED, Calibration
from kistack.errors import InputError
from kistack.storage.files import read_json, storing, write_json

if TYPE_CHECKING:
    from kistack.storage.ledger import Ledger
    from kistack.storage.store import Store

SCENARIO_FILE = "kistack.yaml"
WORK_FOLDER = ".kistack"
CALIBRATION_FILE = "calibration.json"

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Project:
    """A folder that kistack works in.

    ``root`` need not hold a scenario file: one that is only used from Python has none. Nothing is written outside
    ``root/.kistack``, and that folder appears when something is first kept.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().absolute()

    @classmethod
    def find(cls, start: Path | str = ".") -> Project:
        """The nearest folder at or above ``start`` that holds ``kistack.yaml``.

        Raises:
            InputError: there is none, or no such folder.

        """
        here = Path(start).expanduser().absolute()
        if not here.exists():
            raise InputError(f"there is no folder {here}", "correct the path of the project")
        for folder in (here, *here.parents):
            if (folder / SCENARIO_FILE).is_file():
                return cls(folder)
        raise InputError(
            f"no {SCENARIO_FILE} in {here} or above it", "make one with: kistack init (or name a project folder)"
        )

    @property
    def scenario(self) -> Path:
        """The user's scenario file."""
        return self.root / SCENARIO_FILE

    @property
    def work(self) -> Path:
        """The folder of everything kistack makes."""
        return self.root / WORK_FOLDER

    @property
    def profile(self) -> Path:
        """The cached profile."""
        return self.work / "profile.json"

    @property
    def runs(self) -> Path:
        """The folder with one folder per run."""
        return self.work / "runs"

    @property
    def probes(self) -> Path:
        """The folder of what probes found: one file each."""
        return self.work / "probes"

    def prepare(self) -> Path:
        """Make the work folder, hidden from git; returns it.

        Raises:
            StoreError: the project folder cannot be written, or a file is in the way.

        """
        with storing(self.work, "making the project's work folder"):
            self.runs.mkdir(parents=True, exist_ok=True)
            ignore = self.work / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        return self.work

    def store(self) -> Store:
        """The project's store."""
        from kistack.storage.store import Store

        return Store(self.prepare() / "store")

    def ledger(self) -> Ledger:
        """The project's ledger."""
        from kistack.storage.ledger import Ledger

        return Ledger(self.prepare() / "ledger.db")

    def calibration(self) -> Calibration:
        """What the runs so far say of predictions; nothing where none ended, or where the file is not to be read.

        The file holds nothing that the ledger does not: the next run that ends writes it anew.
        """
        document = read_json(self.work / CALIBRATION_FILE)
        try:
            return UNCALIBRATED if document is None else Calibration.from_json(document)
        except (KeyError, TypeError, ValueError):
            return UNCALIBRATED

    def keep_calibration(self, calibration: Calibration) -> None:
        """Put a calibration in the place of the one before.

        Raises:
            StoreError: the project folder cannot be written.

        """
        folder = self.prepare()
        with storing(folder, "keeping the calibration"):
            write_json(folder / CALIBRATION_FILE, calibration.to_json())

    def new_run(self) -> Path:
        """A new run's folder; its name is the run's id: date and time in UTC, then four random letters or digits."""
        self.prepare()
        while True:
            stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
            folder = self.runs / f"{stamp}-{secrets.token_hex(2)}"
            with storing(self.runs, "making a run's folder"):
                try:
                    folder.mkdir()
                except FileExistsError:
                    continue
            return folder

    def run_folder(self, run: str) -> Path:
        """The folder of an existing run: its id, the beginning of one, or ``last``.

        Raises:
            InputError: there is no such run, or several begin like this.

        """
        known = sorted(p.name for p in self.runs.iterdir() if p.is_dir()) if self.runs.is_dir() else []
        if run == "last" and known:
            return self.runs / known[-1]
        matches = [run] if run in known else [n for n in known if _RUN.fullmatch(run) and n.startswith(run)]
        if len(matches) == 1:
            return self.runs / matches[0]
        if matches:
            raise InputError(f"run {run!r} is ambiguous: {', '.join(matches[:5])}", "write more of its id")
        latest = ", ".join(known[-3:]) or "none yet"
        raise InputError(f"there is no run {run!r} in {self.runs}", f"the latest runs: {latest} (kistack runs)")
