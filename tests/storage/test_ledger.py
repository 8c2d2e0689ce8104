import contextlib
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from kistack.domain.records import Measurement, RunRecord, StepRecord, SystemScore
from kistack.errors import InputError, StoreError
from kistack.storage import ledger as module
from kistack.storage.ledger import Ledger, migrate

DATA = Path(__file__).parent / "data"


def record(run="r1", status="done", seconds=3.0, **step):
    return RunRecord(
        run=run,
        status=status,
        plan={"steps": []},
        profile="p" * 64,
        environment={"machine": "machine-1"},
        steps=(
            StepRecord(
                use="tune/lora",
                key="k" * 64,
                status="done",
                version="1",
                plugin="peft",
                settings={"rank": 8},
                predicted={"seconds": 2.0, "peak_bytes": 5.0},
                measured={"seconds": seconds, "bytes": 7.0},
                outputs={"model": "d" * 64},
                facts={"model.params": 100.0},
            ),
            StepRecord(use="retrieve/x", key="l" * 64, status="reused", predicted={"seconds": 1.0}, measured={}),
        )
        if not step
        else (StepRecord(use="tune/lora", key="k", status="done", **step),),
        systems={
            "baseline": SystemScore(
                "baseline",
                metrics={"contained": Measurement(0.5, 0.4, 0.6, "", 10)},
                items={"contained": (1.0, 0.0)},
                answers="e" * 64,
                unavailable={"perplexity": "no logits"},
            )
        },
        started="2026-01-01T00:00:00Z",
        seconds=9.0,
    )


def test_a_run_reads_back_as_it_was(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record())
    assert Ledger(tmp_path / "ledger.db").run("r1") == record()
    assert ledger.runs() == [record()]
    with pytest.raises(InputError, match="no run 'x'"):
        ledger.run("x")


def test_appending_again_adds_a_row_and_the_latest_counts(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record(status="running", seconds=1.0))
    ledger.append(record(run="r2"))
    ledger.append(record(status="done", seconds=3.0))
    assert [(r.run, r.status) for r in ledger.runs()] == [("r2", "done"), ("r1", "done")]
    assert ledger.run("r1").status == "done"
    assert [p.measured for p in ledger.pairs_of("seconds", "tune/lora")] == [3.0, 3.0]
    with contextlib.closing(sqlite3.connect(ledger.path)) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (3,)
        assert db.execute("SELECT value, low, high, count FROM scores").fetchone() == (0.5, 0.4, 0.6, 10)
        assert db.execute("SELECT version, settings, facts, machine FROM steps").fetchone() == (
            "1",
            '{"rank": 8}',
            '{"model.params": 100.0}',
            "machine-1",
        )


def test_calibration_sees_only_steps_that_ran_from_start_to_end(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record())
    both = {"predicted": {"seconds": 1.0}, "measured": {"seconds": 8.0}}
    ledger.append(record("r2", predicted={"seconds": 1.0}, measured={"seconds": 8.0, "resumed": 1.0}))
    for number, bad in enumerate(("failed", "reused", "cancelled")):
        ledger.append(
            RunRecord(
                run=f"bad{number}",
                status="failed",
                plan={},
                profile="",
                environment={},
                steps=(StepRecord(use="tune/lora", key="k", status=bad, **both),),
            )
        )
    assert ledger.pairs_of("seconds") == [(2.0, 3.0, "machine-1")]
    assert ledger.pairs_of("seconds", "tune/lora")[0].machine == "machine-1"
    assert ledger.pairs_of("seconds", "tune/other") == []
    assert ledger.pairs_of("peak_bytes") == []


def test_numbers_that_are_none_are_not_kept_as_numbers(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record(seconds=float("nan")))
    assert ledger.pairs_of("seconds") == []


def test_gc_learns_what_runs_need(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record())
    assert ledger.roots() == {"k" * 64, "l" * 64, "d" * 64, "e" * 64}
    assert ledger.roots([]) == set()


def _append(path, name, count):
    ledger = Ledger(path)
    for number in range(count):
        ledger.append(record(run=f"{name}-{number}"))


def test_two_processes_append_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(tmp_path / "ledger.db", n, 8)) for n in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len(Ledger(tmp_path / "ledger.db").runs()) == 16


def test_a_ledger_kept_from_the_first_schema_is_read(tmp_path):
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "ledger-v1.sql").read_text())
    ledger = Ledger(path)
    assert [r.run for r in ledger.runs()] == ["20260101-000000-0001"]
    assert ledger.pairs_of("seconds", "tune/lora") == [(2.0, 3.0, "machine-1")]


def test_an_older_ledger_is_migrated_on_a_copy(tmp_path, monkeypatch):
    path = tmp_path / "ledger.db"
    Ledger(path).append(record())
    monkeypatch.setattr(module, "LEDGER_SCHEMA", 2)
    monkeypatch.setattr(module, "MIGRATIONS", {1: "ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''"})
    ledger = Ledger(path)
    assert ledger.runs() == [record()]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT note FROM runs").fetchall() == [("",)]
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    with contextlib.closing(sqlite3.connect(path.with_name("ledger.db.v1"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    ledger.append(record("r2"))
    assert len(ledger.runs()) == 2


def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "ledger.db"
    Ledger(path).append(record())
    with pytest.raises(sqlite3.Error):
        migrate(path, {1: "ALTER TABLE nothing ADD COLUMN x"}, 2)
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")) == ["ledger.db"]
    assert Ledger(path).runs() == [record()]


def test_a_newer_or_damaged_ledger_is_refused_with_a_remedy(tmp_path):
    path = tmp_path / "ledger.db"
    Ledger(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema 99"):
        Ledger(path)
    path.write_bytes(b"this is no database, it is text" * 200)
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Ledger(path)
    assert "move the file away" in caught.value.hint


def test_a_full_disk_is_said_as_such(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger.db")
    with contextlib.closing(sqlite3.connect(ledger.path)) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    connect = sqlite3.connect

    def small(*args, **more):
        db = connect(*args, **more)
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    monkeypatch.setattr(module.sqlite3, "connect", small)
    with pytest.raises(StoreError, match="disk full while writing the ledger"):
        ledger.append(record(settings={"x": "y" * 100_000}))
    monkeypatch.undo()
    assert ledger.runs() == []
