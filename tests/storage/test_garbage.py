import os
import time

import psutil
import pytest

from kistack.storage.files import write_json
from kistack.storage.garbage import RESUMABLE_SECONDS, is_running
from kistack.storage.results import Made
from kistack.storage.store import Store

A, B, C = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make(store, key, size=1000, letter=b"", age=0.0, **more):
    with store.lock(key):
        folder = store.prepare(key, ["model"])["model"]
        (folder / "w").write_bytes((letter or key[:1].encode()) * size)
        artifact = store.commit(key, {"model": Made(folder, "model", **more)}).outputs["model"]
    then = time.time() - age
    os.utime(store.record_path(key), (then, then))
    return artifact


def keys(store):
    return {r["key"] for r in store.records()}


def test_what_a_kept_run_needs_stays_with_all_that_travels_with_it(store):
    base = make(store, A)
    adapter = make(store, B, requires=(base,), ports=("base",))
    other = make(store, C)
    collected = store.gc([adapter.digest])
    assert keys(store) == {A, B}
    assert store.lookup(B).outputs["model"].parts["base"].path.exists()
    assert not other.path.exists()
    assert collected.steps == 1
    assert collected.artifacts == 1
    assert collected.freed >= 1000
    for name in (B, f"{B}/model"):
        store.gc([name])
        assert keys(store) == {A, B}


def test_the_least_recently_used_goes_first_and_only_until_it_fits(store):
    make(store, A, 50_000, age=300)
    make(store, B, 50_000, age=200)
    make(store, C, 50_000, age=100)
    assert store.lookup(A)  # used now
    full = store.du().total
    collected = store.gc(budget=full - 40_000)
    assert keys(store) == {A, C}
    assert collected.left == store.du().total <= full - 40_000
    assert store.gc(budget=1 << 30).steps == 0
    assert store.gc([A], budget=0).steps == 1
    assert keys(store) == {A}


def test_what_depends_on_a_removed_base_goes_with_it(store):
    base = make(store, A, 50_000, age=300)
    make(store, B, 100, requires=(base,), ports=("base",), age=100)
    os.utime(store.record_path(A), (1, 1))
    make(store, C, 50_000, age=50)
    store.gc(budget=store.du().total - 40_000)
    assert keys(store) == {C}


def test_bytes_that_another_step_holds_stay(store):
    make(store, A, letter=b"z", age=100)
    shared = make(store, B, letter=b"z")
    store.gc([B])
    assert keys(store) == {B}
    assert shared.path.exists()


def test_leftovers_of_killed_runs_go_but_not_work_in_progress(store):
    store.prepare(A, ["model"])
    (store.scratch(A) / "checkpoint").write_text("x")
    (store.root / "artifacts" / ("d" * 64)).mkdir()
    (store.root / "tmp" / "trash-1").mkdir()
    with store.lock(B):
        folder = store.prepare(B, ["model"])["model"]
        (store.scratch(B) / "checkpoint").write_text("x")
        (store.scratch(C) / "checkpoint").write_text("x")
        store.gc([C])
        assert [p.name for p in (store.root / "tmp").iterdir()] == [B]
        assert folder.exists()
        assert {p.name for p in (store.root / "scratch").iterdir()} == {B, C}
    assert not list((store.root / "artifacts").iterdir())
    store.gc()
    assert not list((store.root / "tmp").iterdir())
    assert not list((store.root / "scratch").iterdir())


def test_a_pin_holds_while_its_process_runs_and_some_days_after(store):
    make(store, A)
    store.pin("run-1", [A])
    store.gc()
    assert keys(store) == {A}
    path = store.root / "pins" / "run-1.json"
    dead = {"wanted": [A], "pid": 2**22 + 1, "started": 1.0, "time": time.time() - 3600}
    write_json(path, dead)
    store.gc()
    assert keys(store) == {A}
    write_json(path, {**dead, "time": time.time() - RESUMABLE_SECONDS - 1})
    store.gc()
    assert keys(store) == set()
    assert not path.exists()
    make(store, A)
    store.pin("run-1", [A])
    store.unpin("run-1")
    path.write_text("torn")
    store.gc()
    assert keys(store) == set()


def test_a_process_is_known_by_number_and_start():
    me = psutil.Process()
    assert is_running(me.pid, me.create_time())
    assert not is_running(me.pid, me.create_time() - 100)
    assert not is_running(2**22 + 1, 0)


def test_usage_adds_up(store):
    make(store, A, 2000)
    (store.scratch(B) / "c").write_bytes(b"1" * 300)
    used = store.du()
    assert used.artifacts == 2000
    assert used.scratch == 300
    assert used.steps == 1
    assert used.total == used.artifacts + used.scratch + used.other
    assert used.free > 0
