import os
import sqlite3

import pytest

from kistack.storage.health import examine
from kistack.storage.ledger import LEDGER_SCHEMA
from kistack.storage.project import Project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "kistack.yaml").write_text("schema: 1")
    project = Project(tmp_path)
    store = project.store()
    for n in range(3):
        store.put("corpus", "jsonl", lambda folder, n=n: (folder / "c.jsonl").write_text("x" * (n + 1)), f"k{n}")
    return project


def contents(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def artifacts(project):
    return sorted(p for p in (project.work / "store" / "artifacts").iterdir())


def test_a_whole_store_is_told_and_left_alone(project):
    before = contents(project.work)
    found = examine(project.work)
    assert (found.state, found.steps, found.looked, found.unseen, found.faults) == ("whole", 3, 3, 0, ())
    assert found.bytes == sum(p.stat().st_size for p in project.work.glob("store/**/*") if p.is_file())
    assert contents(project.work) == before


def test_every_kind_of_damage_is_named(project):
    first, second, third = artifacts(project)
    (first / "c.jsonl").chmod(0o644)
    (first / "c.jsonl").write_text("longer than it was")
    (second / "c.jsonl").unlink()
    third.rename(third.with_name("elsewhere"))
    torn = project.work / "store" / "steps" / "torn.json"
    torn.write_text("{")
    (torn.with_name("later.json")).write_text('{"schema": 99}')
    before = contents(project.work)
    found = examine(project.work)
    told = "\n".join(found.faults)
    assert found.state == "damaged"
    assert len(found.faults) == 5
    assert "c.jsonl has 18 bytes instead of" in told
    assert "c.jsonl is missing" in told
    assert "it is missing" in told
    assert "step torn cannot be read" in told
    assert "another kistack (schema 99)" in told
    assert contents(project.work) == before


def test_a_copied_store_is_whole_and_looking_ends_in_time(project):
    for path in artifacts(project):
        os.utime(path / "c.jsonl", (1, 1))
    assert examine(project.work).state == "whole"
    found = examine(project.work, patience=-1)
    assert (found.looked, found.unseen) == (0, 3)


def test_a_folder_without_a_store_stays_without_one(tmp_path):
    found = examine(tmp_path / ".kistack")
    assert (found.state, found.ledger, found.writable) == ("absent", "absent", True)
    assert list(tmp_path.iterdir()) == []


def test_ledgers_are_judged(project):
    assert examine(project.work).ledger == "absent"
    ledger = project.ledger()
    assert examine(project.work).ledger == "ok"
    with sqlite3.connect(ledger.path) as db:
        db.execute(f"PRAGMA user_version = {LEDGER_SCHEMA + 1}")
    db.close()
    assert examine(project.work).ledger == f"kept by a later kistack (schema {LEDGER_SCHEMA + 1})"
    ledger.path.write_bytes(b"no database at all, but long enough to have a header" * 20)
    assert examine(project.work).ledger.startswith("cannot be read: ")
