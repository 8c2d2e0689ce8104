import contextlib
import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from kistack.domain.calibration import Observed
from kistack.domain.records import RUN_SCHEMA, Measurement, RunRecord, StepRecord, SystemScore
from kistack.errors import InputError, StoreError
from kistack.storage import ledger as module
from kistack.storage.ledger import Ledger, migrate

DATA = Path(__file__).parent / "data"


def seen(ledger, kind, stage=None):
    """Stated, measured and machine of what the ledger observed of a kind of number."""
    found = [o for o in ledger.observed() if o.kind == kind and stage in {None, o.stage}]
    return [(o.raw, o.measured, o.machine) for o in found]


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
                predicted={"seconds": 2.5, "peak_bytes": 5.0},
                raw={"seconds": 2.0, "peak_bytes": 5.0},
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
    assert [measured for _, measured, _ in seen(ledger, "seconds", "tune/lora")] == [3.0, 3.0]
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
    both = {"raw": {"seconds": 1.0}, "predicted": {"seconds": 1.0}, "measured": {"seconds": 8.0}}
    ledger.append(record("r2", **{**both, "measured": {"seconds": 8.0, "resumed": 1.0}}))
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
    assert ledger.observed() == [Observed("r1", "seconds", "tune/lora", "machine-1", 2.0, 3.0)]


def test_numbers_that_are_none_are_not_kept_as_numbers(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.append(record(seconds=float("nan")))
    assert seen(ledger, "seconds") == []


def test_a_step_is_observed_as_what_it_is_calibrated_as(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    both = {"raw": {"seconds": 1.0}, "measured": {"seconds": 8.0}}
    ledger.append(record("r1", work="tune/lora with runtime/x", **both))
    ledger.append(record("r2", **both))
    assert [o.stage for o in ledger.observed()] == ["tune/lora with runtime/x", "tune/lora"]


def test_a_plan_as_a_whole_is_observed_by_what_it_is_told_of(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    whole = replace(
        record(),
        steps=(),
        plan={"steps": [{"use": "retrieve/x"}, {"use": "tune/lora"}]},
        runtime="runtime/x",
        raw={"latency_seconds": 1.0, "quality": 60.0, "seconds": 9.0},
        predicted={"latency_seconds": 1.5, "quality": 70.0, "seconds": 9.0},
        measured={"latency_seconds": 2.0, "quality": 80.0},
    )
    ledger.append(replace(whole, status="running", measured={"quality": 1.0}))
    ledger.append(whole)
    assert ledger.observed() == [
        Observed("r1", "latency_seconds", "runtime/x", "machine-1", 1.0, 2.0),
        Observed("r1", "quality", "retrieve+tune", "machine-1", 60.0, 80.0),
    ]
    assert ledger.run("r1") == whole
    ledger.append(replace(whole, run="r2", points_kind="quality_probed"))
    assert ledger.observed()[-1] == Observed("r2", "quality_probed", "retrieve+tune", "machine-1", 60.0, 80.0)


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
    [old] = ledger.runs()
    assert (old.run, old.schema, old.runtime) == ("20260101-000000-0001", RUN_SCHEMA, "")
    # Nothing was calibrated then, so what was predicted is what the stages stated.
    assert old.steps[0].raw == old.steps[0].predicted == {"seconds": 2.0, "peak_bytes": 5.0}
    assert seen(ledger, "seconds", "tune/lora") == [(2.0, 3.0, "machine-1")]
    with contextlib.closing(sqlite3.connect(path.with_name("ledger.db.v1"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    ledger.append(record("later"))
    assert seen(ledger, "seconds", "tune/lora") == [(2.0, 3.0, "machine-1")] * 2


def test_an_older_ledger_is_migrated_on_a_copy(tmp_path, monkeypatch):
    path = tmp_path / "ledger.db"
    Ledger(path).append(record())
    now = module.LEDGER_SCHEMA
    monkeypatch.setattr(module, "LEDGER_SCHEMA", now + 1)
    monkeypatch.setattr(module, "MIGRATIONS", {now: "ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''"})
    ledger = Ledger(path)
    assert ledger.runs() == [record()]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT note FROM runs").fetchall() == [("",)]
        assert db.execute("PRAGMA user_version").fetchone() == (now + 1,)
    with contextlib.closing(sqlite3.connect(path.with_name(f"ledger.db.v{now}"))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (now,)
    ledger.append(record("r2"))
    assert len(ledger.runs()) == 2


def test_a_migration_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "ledger.db"
    Ledger(path).append(record())
    now = module.LEDGER_SCHEMA
    with pytest.raises(sqlite3.Error):
        migrate(path, {now: "ALTER TABLE nothing ADD COLUMN x"}, now + 1)
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


def test_studies_are_kept_as_they_last_stood(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.keep_study("s1", "sweep", "unfinished", "2026-01-01T00:00:00Z", {"rows": 1})
    ledger.keep_study("t1", "staleness", "done", "2026-01-02T00:00:00Z", {"states": 3})
    ledger.keep_study("s1", "sweep", "done", "2026-01-01T00:00:00Z", {"rows": 2})
    ledger.keep_study("s0", "sweep", "done", "2025-01-01T00:00:00Z", {"rows": 9})
    assert ledger.studies("sweep") == [{"rows": 9}, {"rows": 2}]
    assert ledger.studies("staleness") == [{"states": 3}]
    assert ledger.runs() == []


def test_a_ledger_from_before_there_were_studies_takes_them(tmp_path):
    path = tmp_path / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "ledger-v1.sql").read_text())
    Ledger(path).keep_study("s1", "sweep", "done", "2026-01-01T00:00:00Z", {"rows": 2})
    assert Ledger(path).studies("sweep") == [{"rows": 2}]
