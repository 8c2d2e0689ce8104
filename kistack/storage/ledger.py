"""The ledger: an append-only record of runs in SQLite, from which predictions are calibrated.

A run that is appended again (first running, then done) gets a new row; the latest row of a run is what counts, the
earlier ones stay.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from kistack.domain.calibration import Observed
from kistack.domain.records import RunRecord
from kistack.errors import InputError, StoreError
from kistack.storage.files import remove, storing

#: Version of the tables below (SQLite's ``user_version``).
LEDGER_SCHEMA = 4

#: Numbers of a plan as a whole: stated, told to the user after calibration, and measured by that run itself.
_TOTALS = """
CREATE TABLE totals (
    entry INTEGER NOT NULL REFERENCES runs (entry), name TEXT NOT NULL, use TEXT NOT NULL, raw REAL, predicted REAL,
    measured REAL, PRIMARY KEY (entry, name)
);
"""

#: What was found over several runs together: sweeps and tests of staleness, as the documents they report.
_STUDIES = """
CREATE TABLE studies (
    entry INTEGER PRIMARY KEY AUTOINCREMENT, study TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
    started TEXT NOT NULL, document TEXT NOT NULL
);
"""

_TABLES = """
CREATE TABLE runs (
    entry INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, status TEXT NOT NULL, started TEXT NOT NULL,
    seconds REAL NOT NULL, profile TEXT NOT NULL, machine TEXT NOT NULL, bundle TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX runs_by_run ON runs (run);
CREATE VIEW latest AS SELECT max(entry) AS entry FROM runs GROUP BY run;
CREATE TABLE steps (
    entry INTEGER NOT NULL REFERENCES runs (entry), position INTEGER NOT NULL, key TEXT NOT NULL, use TEXT NOT NULL,
    version TEXT NOT NULL, plugin TEXT NOT NULL, status TEXT NOT NULL, settings TEXT NOT NULL, facts TEXT NOT NULL,
    machine TEXT NOT NULL, work TEXT NOT NULL DEFAULT '', PRIMARY KEY (entry, position)
);
CREATE INDEX steps_by_use ON steps (use);
CREATE TABLE numbers (
    entry INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, predicted REAL, measured REAL,
    raw REAL, PRIMARY KEY (entry, position, name)
);
CREATE TABLE scores (
    entry INTEGER NOT NULL REFERENCES runs (entry), system TEXT NOT NULL, metric TEXT NOT NULL, value REAL,
    low REAL, high REAL, unit TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (entry, system, metric)
);
"""

#: A step that was resumed after a kill has no honest duration, so it tells nothing about predictions.
_OBSERVED = """
SELECT r.run, n.name, s.work, s.machine, n.raw, n.measured, n.entry, n.position
FROM numbers n JOIN steps s USING (entry, position) JOIN runs r USING (entry)
WHERE s.status = 'done' AND n.entry IN latest AND n.raw IS NOT NULL AND n.measured IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM numbers o
    WHERE o.entry = n.entry AND o.position = n.position AND o.name = 'resumed' AND o.measured > 0
)
UNION ALL
SELECT r.run, t.name, t.use, r.machine, t.raw, t.measured, t.entry, -1
FROM totals t JOIN runs r USING (entry)
WHERE t.entry IN latest AND t.raw IS NOT NULL AND t.measured IS NOT NULL
ORDER BY 7, 8, 2
"""

_RAW = "ALTER TABLE numbers ADD COLUMN raw REAL; UPDATE numbers SET raw = predicted;"
#: What brings an older ledger one version further: version to the statements that leave it at version + 1.
#: 1: nothing was calibrated yet, so what was predicted is what the stages stated. 2: what a step opens was not told
#: apart. 3: only runs were kept.
MIGRATIONS: dict[int, str] = {
    1: _RAW + _TOTALS,
    2: "ALTER TABLE steps ADD COLUMN work TEXT NOT NULL DEFAULT ''; UPDATE steps SET work = use;",
    3: _STUDIES,
}


class Ledger:
    """The ledger in one file, safe for several processes.

    Raises:
        StoreError: the file is no ledger, was written by a newer kistack, or cannot be written.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with storing(path.parent, "opening the ledger"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._guard(), FileLock(path.with_name(path.name + ".lock")):
                self._prepare()

    def append(self, record: RunRecord) -> None:
        """Add a run, as it stands now.

        Raises:
            StoreError: the disk is full or the file damaged.

        """
        machine = record.environment.get("machine", "")
        document = json.dumps(record.to_json(), sort_keys=True)
        about = (record.run, record.status, record.started, record.seconds, record.profile, machine, record.bundle)
        with self._guard(), self._open() as db, db:
            db.execute("BEGIN IMMEDIATE")
            entry = db.execute(
                "INSERT INTO runs (run, status, started, seconds, profile, machine, bundle, record)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*about, document),
            ).lastrowid
            for position, step in enumerate(record.steps):
                texts = (step.key, step.use, step.version, step.plugin, step.status)
                told = (json.dumps(dict(step.settings), sort_keys=True), json.dumps(dict(step.facts), sort_keys=True))
                db.execute(
                    "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (entry, position, *texts, *told, machine, step.work or step.use),
                )
                names = sorted({*step.raw, *step.predicted, *step.measured})
                tables = (step.predicted, step.measured, step.raw)
                db.executemany(
                    "INSERT INTO numbers VALUES (?, ?, ?, ?, ?, ?)",
                    [(entry, position, n, *(_number(t.get(n)) for t in tables)) for n in names],
                )
            db.executemany("INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?)", [(entry, *row) for row in _totals(record)])
            for system in record.systems.values():
                db.executemany(
                    "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (entry, system.name, name, _number(m.value), _number(m.low), _number(m.high), m.unit, m.count)
                        for name, m in system.metrics.items()
                    ],
                )

    def runs(self) -> list[RunRecord]:
        """All runs as they last stood, the oldest first."""
        with self._guard(), self._open() as db:
            rows = db.execute("SELECT record FROM runs WHERE entry IN latest ORDER BY started, entry")
            return [RunRecord.from_json(json.loads(text)) for (text,) in rows]

    def run(self, run: str) -> RunRecord:
        """One run as it last stood.

        Raises:
            InputError: there is no such run.

        """
        with self._guard(), self._open() as db:
            row = db.execute("SELECT record FROM runs WHERE run = ? ORDER BY entry DESC LIMIT 1", (run,)).fetchone()
        if row is None:
            raise InputError(f"the ledger has no run {run!r}", "list them with: kistack runs")
        return RunRecord.from_json(json.loads(row[0]))

    def keep_study(self, study: str, kind: str, status: str, started: str, document: Mapping[str, Any]) -> None:
        """Add what was found over several runs together, as it stands now.

        Args:
            study: its id.
            kind: ``sweep`` or ``staleness``.
            status: how it stands.
            started: ISO 8601 in UTC.
            document: its report, as JSON.

        Raises:
            StoreError: the disk is full or the file damaged.

        """
        row = (study, kind, status, started, json.dumps(document, sort_keys=True))
        with self._guard(), self._open() as db, db:
            db.execute("INSERT INTO studies (study, kind, status, started, document) VALUES (?, ?, ?, ?, ?)", row)

    def studies(self, kind: str) -> list[dict[str, Any]]:
        """The reports of one kind as they last stood, the oldest first."""
        latest = "SELECT max(entry) FROM studies WHERE kind = ? GROUP BY study"
        with self._guard(), self._open() as db:
            rows = db.execute(
                f"SELECT document FROM studies WHERE entry IN ({latest}) ORDER BY started, entry",  # noqa: S608 - constant
                (kind,),
            )
            return [json.loads(text) for (text,) in rows]

    def observed(self) -> list[Observed]:
        """Every number that was both stated and measured, oldest first: of steps, and of plans as a whole.

        Only steps that really ran, from start to end in one go, count.
        """
        with self._guard(), self._open() as db:
            return [Observed(*row[:6]) for row in db.execute(_OBSERVED)]

    def roots(self, runs: Sequence[str] | None = None) -> set[str]:
        """What ``Store.gc`` must keep for these runs (default: all): their steps' keys and their digests."""
        wanted: set[str] = set()
        for record in self.runs():
            if runs is None or record.run in runs:
                for step in record.steps:
                    wanted.add(step.key)
                    wanted.update(step.outputs.values())
                wanted.update(s.answers for s in record.systems.values() if s.answers)
        return wanted

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        # One short connection per call: nothing stays open across a fork or a thread.
        with contextlib.closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            yield db

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            if code == "SQLITE_FULL":
                raise StoreError(
                    f"disk full while writing the ledger {self.path}", "free some disk: kistack store gc"
                ) from error
            remedy = (
                "move the file away; a new ledger is begun, finished steps stay in the store"
                if code in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}
                else "see whether the folder can be written and no other program holds the file"
            )
            raise StoreError(f"the ledger {self.path} cannot be used: {error}", remedy) from error

    def _prepare(self) -> None:
        with self._open() as db:
            version = _version(db)
            empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
            if version == 0 and empty:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(
                    f"BEGIN; {_TABLES} {_TOTALS} {_STUDIES} PRAGMA user_version = {LEDGER_SCHEMA}; COMMIT;"
                )
                return
        if version > LEDGER_SCHEMA or version == 0:
            raise StoreError(
                f"the ledger {self.path} has schema {version}, this kistack reads up to {LEDGER_SCHEMA}",
                "use the kistack that wrote it, or move the file away",
            )
        if version < LEDGER_SCHEMA:
            migrate(self.path, MIGRATIONS, LEDGER_SCHEMA)


def migrate(path: Path, migrations: Mapping[int, str], target: int) -> None:
    """Bring a ledger to schema ``target``: a copy is changed and, when it is whole, takes the place of the old file.

    The old file stays beside it as ``NAME.v<schema>``. Hold the ledger's lock.

    Raises:
        sqlite3.Error: a migration failed; the ledger is as it was.

    """
    copy = path.with_name(path.name + ".new")
    for leftover in (copy, *(copy.with_name(copy.name + end) for end in ("-wal", "-shm", "-journal"))):
        remove(leftover)
    try:
        with (
            contextlib.closing(sqlite3.connect(path, timeout=30)) as old,
            contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as new,
        ):
            # Leaving WAL needs the file for itself, and folds the log in: nothing of the old file may outlive it.
            old.execute("PRAGMA journal_mode = DELETE")
            was = _version(old)
            old.backup(new)
            for version in range(was, target):
                new.executescript(f"BEGIN; {migrations[version]}; PRAGMA user_version = {version + 1}; COMMIT;")
            _check_whole(new)
            new.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        remove(copy)
        raise
    kept = path.with_name(f"{path.name}.v{was}")
    remove(kept)
    kept.hardlink_to(path)
    copy.replace(path)


def _check_whole(db: sqlite3.Connection) -> None:
    fault = db.execute("PRAGMA integrity_check").fetchone()[0]
    if fault != "ok":
        raise sqlite3.DatabaseError(f"the migrated copy is damaged: {fault}")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _totals(record: RunRecord) -> list[tuple[str, str, float | None, float | None, float | None]]:
    names = sorted({*record.raw, *record.predicted, *record.measured})
    tables = (record.raw, record.predicted, record.measured)
    return [(*record.told_of(n), *(_number(t.get(n)) for t in tables)) for n in names]  # type: ignore[misc]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
