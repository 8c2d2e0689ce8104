import contextlib
import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kistack.domain.artifacts import Opener
from kistack.errors import Cancelled, StoreError
from kistack.storage.files import disk_full, is_disk_full, read_json, write_atomic
from kistack.storage.hashing import digest_of, survey
from kistack.storage.results import Made, file_name
from kistack.storage.store import Store

KEY = "a" * 64
OTHER = "b" * 64


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make(store, key=KEY, text="weights", name="model", **more):
    with store.lock(key):
        folder = store.prepare(key, [name])[name]
        (folder / "model.bin").write_text(text)
        return store.commit(key, {name: Made(folder, "model", "hf", **more)}, stage="tune/x")


def tree(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if not str(p.relative_to(root)).startswith("locks")}


# --- committing and looking up


def test_what_is_committed_is_found_with_all_that_was_said(store):
    base = store.put("model", "hf", lambda f: (f / "w").write_text("base"), "given/base")
    folders = store.prepare(KEY, ["model", "log"])
    (folders["model"] / "sub").mkdir()
    (folders["model"] / "sub" / "adapter").write_text("ab")
    (folders["log"] / "t").write_text("t")
    made = {
        "model": Made(
            folders["model"],
            "model",
            "hf+peft",
            facets={"family": "llama"},
            facts={"params": 3},
            requires=(base,),
            ports=("base",),
            opener=Opener("runtime/hf", {"threads": 2}),
        ),
        "log": Made(folders["log"], "log"),
    }
    done = store.commit(
        KEY, made, stage="tune/x", settings={"rank": 8}, inputs={"base": (base.digest,)}, measured={"seconds": 2.5}
    )
    found = Store(store.root).lookup(KEY)
    assert found == done
    model = found.outputs["model"]
    assert model.facts == {"bytes": 2.0, "params": 3.0}
    assert model.facets == {"family": "llama"}
    assert model.parts == {"base": base}
    assert model.parents == (base.digest,)
    assert model.opener == Opener("runtime/hf", {"threads": 2})
    assert model.key == f"{KEY}/model"
    assert (model.path / "sub" / "adapter").read_text() == "ab"
    assert model.digest == digest_of(survey(model.path)) == model.path.name
    assert found.measured == {"seconds": 2.5}
    assert found.settings == {"rank": 8}
    assert store.artifact(model.key) == store.artifact(model.digest) == model
    assert store.artifact("given/base") == base
    assert not list((store.root / "tmp").iterdir())


def test_an_unknown_artifact_has_a_remedy(store):
    with pytest.raises(StoreError, match="not in the store") as caught:
        store.artifact("nothing/here")
    assert "run the plan" in caught.value.hint
    assert store.lookup(KEY) is None


def test_equal_bytes_are_kept_once(store):
    first, second = make(store, KEY), make(store, OTHER)
    assert first.outputs["model"].digest == second.outputs["model"].digest
    assert len(list((store.root / "artifacts").iterdir())) == 1


def test_facts_must_be_numbers_and_leave_nothing_behind(store):
    with pytest.raises(StoreError, match="'params' is nan"):
        make(store, facts={"params": float("nan")})
    assert store.lookup(KEY) is None
    assert not list((store.root / "tmp").iterdir())


def test_a_commit_ends_the_scratch_and_a_kill_before_it_does_not(store):
    (store.scratch(KEY) / "checkpoint").write_text("1")
    store.prepare(KEY, ["model"])
    again = Store(store.root)
    assert (again.scratch(KEY) / "checkpoint").read_text() == "1"
    make(again)
    assert not list((store.root / "scratch").iterdir())


def test_a_record_of_another_schema_is_refused_and_a_torn_one_made_again(store):
    make(store)
    path = store.record_path(KEY)
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(StoreError, match="schema 2"):
        store.lookup(KEY)
    path.write_text('{"schema": 1, "key"')
    said = []
    assert store.lookup(KEY, notify=said.append) is None
    assert "damaged" in said[0]
    assert not path.exists()


# --- inputs


def test_an_input_is_brought_in_once_and_described_anew(store, tmp_path):
    user = tmp_path / "docs"
    user.mkdir()
    (user / "a.md").write_text("hello")
    first = store.put("corpus", "files", user, "corpus/1", facts={"count": 1})
    (user / "a.md").unlink()
    assert store.put("corpus", "files", user, "corpus/1", facts={"count": 1}) == first
    (user / "a.md").write_text("hello")
    better = store.put("corpus", "files", user, "corpus/1", facts={"count": 1, "tokens": 2})
    assert better.digest == first.digest
    assert store.artifact("corpus/1").facts == {"count": 1.0, "tokens": 2.0, "bytes": 5.0}


def test_a_writer_that_fails_leaves_nothing(store):
    def fails(folder):
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        store.put("corpus", "files", fails, "corpus/2")
    assert not list((store.root / "tmp").iterdir())
    assert store.lookup("corpus/2") is None


def test_linked_files_are_not_copied_and_their_change_is_noticed(store, tmp_path):
    user = tmp_path / "model"
    (user / "sub").mkdir(parents=True)
    (user / "sub" / "weights").write_text("one")
    linked = store.put("model", "hf", user, "model/1", link=True)
    assert (linked.path / "sub" / "weights").is_symlink()
    assert linked.fact("bytes") == 3
    assert store.lookup("model/1") is not None
    (user / "sub" / "weights").write_text("two!")
    said = []
    assert store.lookup("model/1", notify=said.append) is None
    assert "sub/weights has changed" in said[0]
    assert (user / "sub" / "weights").read_text() == "two!"


# --- damage


@pytest.mark.parametrize("harm", ["change", "remove", "add", "vanish"])
def test_a_damaged_artifact_is_noticed_dropped_and_made_again(store, harm):
    artifact = make(store).outputs["model"]
    if harm == "change":
        (artifact.path / "model.bin").write_text("WEIGHTS")
    elif harm == "remove":
        (artifact.path / "model.bin").unlink()
    elif harm == "add":
        (artifact.path / "extra").write_text("x")
    else:
        shutil.rmtree(artifact.path)
    said = []
    assert store.lookup(KEY, notify=said.append) is None
    assert "made again" in said[-1]
    assert not artifact.path.exists()
    assert make(store).outputs["model"].digest == artifact.digest


def test_a_hidden_change_is_found_by_reading_everything(store):
    path = make(store).outputs["model"].path / "model.bin"
    before = path.stat()
    with path.open("r+") as file:
        file.write("W")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.lookup(KEY) is not None
    [damage] = store.verify()
    assert damage.outputs == (f"{KEY}/model",)
    assert damage.fault == "model.bin has changed"
    assert store.lookup(KEY, full=True) is None


def test_verify_can_drop_and_tells_what_is_missing(store):
    gone = make(store, KEY, "one").outputs["model"]
    whole = make(store, OTHER, "two").outputs["model"]
    assert store.verify() == []
    shutil.rmtree(gone.path)
    assert [d.fault for d in store.verify(drop=True)] == ["it is missing"]
    assert store.lookup(KEY) is None
    assert store.lookup(OTHER).outputs["model"] == whole


def test_a_copied_store_is_whole_after_reading_it_once(store, tmp_path):
    make(store)
    shutil.copytree(store.root, tmp_path / "copy", copy_function=shutil.copyfile)
    copy = Store(tmp_path / "copy")
    assert copy.lookup(KEY) is not None
    artifact = copy.lookup(KEY).outputs["model"]
    assert artifact.path.is_relative_to(tmp_path / "copy")


def test_a_damaged_leftover_with_the_same_digest_is_replaced(store):
    artifact = make(store).outputs["model"]
    (artifact.path / "model.bin").write_text("damaged")
    assert (make(store, OTHER).outputs["model"].path / "model.bin").read_text() == "weights"


def test_an_adapter_whose_base_was_made_anew_is_made_again(store):
    base = make(store, OTHER, "base", "model").outputs["model"]
    make(store, KEY, "adapter", requires=(base,), ports=("base",))
    assert store.lookup(KEY).outputs["model"].parts["base"] == base
    make(store, OTHER, "another base", "model")
    said = []
    assert store.lookup(KEY, notify=said.append) is None
    assert "made anew" in said[0]


# --- disks and locks


def test_a_full_disk_says_what_it_needs_and_leaves_nothing(store, monkeypatch):
    before = tree(store.root)

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with store.lock(KEY):
        folder = store.prepare(KEY, ["model"])["model"]
        (folder / "big").write_bytes(b"x" * 5000)
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="disk full while keeping the output of tune/x: 5 kB needed") as caught:
            store.commit(KEY, {"model": Made(folder, "model")}, stage="tune/x")
    assert "kistack store gc" in caught.value.hint
    assert is_disk_full(caught.value)
    monkeypatch.undo()
    assert tree(store.root) == before
    assert store.lookup(KEY) is None


def test_a_full_disk_while_bringing_in_an_input(store):
    def fill(folder):
        with (folder / "x").open("wb") as file:
            file.write(b"half")
            file.flush()
            with Path("/dev/full").open("wb", buffering=0) as full:
                full.write(b"x" * 10)

    with pytest.raises(StoreError, match="disk full while bringing in corpus"):
        store.put("corpus", "jsonl", fill, "corpus/1")
    assert not list((store.root / "tmp").iterdir())


def test_a_disk_that_is_really_full_in_the_middle_of_a_file(store):
    code = (
        "import resource, sys; from pathlib import Path; from kistack.errors import StoreError;"
        "from kistack.storage.store import Store; store = Store(Path(sys.argv[1]));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));\n"
        "try: store.put('model', 'hf', lambda f: (f / 'weights').write_bytes(b'x' * 10**6), 'model/1')\n"
        "except StoreError as error: print(error.message)"
    )
    home = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.root)], capture_output=True, text=True, check=True, cwd=home
    )
    assert "disk full while bringing in model model/1: 65.5 kB needed" in done.stdout
    assert not list((store.root / "tmp").iterdir())
    assert not list((store.root / "artifacts").iterdir())
    assert store.lookup("model/1") is None


def test_a_disk_that_refuses_or_is_no_folder(tmp_path, store, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / "file" / "store")

    def refuse(*_args, **_more):
        raise PermissionError(errno.EACCES, "Permission denied", "/there")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="cannot write to /there"):
        Store(tmp_path / "elsewhere")


def test_disk_full_is_seen_through_a_chain_of_errors():
    failed = RuntimeError("saving failed")
    failed.__cause__ = OSError(errno.EDQUOT, "quota")
    assert is_disk_full(failed)
    assert not is_disk_full(OSError(errno.ENOENT, "no"))
    assert "needed" not in disk_full(Path("/nowhere/at/all"), "testing").message


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_atomic(path, "old")

    def full(_handle):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert read_json(path) is None


def _hold(root, key, ready, go):
    store = Store(root)
    with store.lock(key):
        ready.set()
        go.wait(20)
        make_in(store, key)


def make_in(store, key):
    folder = store.prepare(key, ["model"])["model"]
    (folder / "model.bin").write_text("from the other")
    store.commit(key, {"model": Made(folder, "model")}, stage="tune/x")


def test_the_second_of_two_processes_waits_and_finds_the_result(store):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(store.root, KEY, ready, go))
    other.start()
    try:
        assert ready.wait(20)
        assert store.locks.is_held(file_name(KEY))
        assert not store.locks.is_held(file_name(OTHER))
        with pytest.raises(Cancelled), store.lock(KEY, cancelled=lambda: True):
            pass
        waited = []
        with store.lock(KEY, waiting=lambda: (waited.append(1), go.set())):
            found = store.lookup(KEY)
        assert waited == [1]
        assert (found.outputs["model"].path / "model.bin").read_text() == "from the other"
    finally:
        go.set()
        other.join(20)
    assert other.exitcode == 0


# --- properties

FILES = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), st.binary(max_size=64), min_size=1, max_size=4)
KEYS = st.text("abc0/é ", min_size=1, max_size=6)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, FILES, min_size=1, max_size=5), st.data())
def test_put_get_gc_verify_hold_together(tmp_path_factory, inputs, data):
    store = Store(tmp_path_factory.mktemp("s") / "store")
    kept = {}
    for key, files in inputs.items():

        def write(folder, files=files):
            for name, content in files.items():
                (folder / name).write_bytes(content)

        kept[key] = store.put("corpus", "files", write, key)
    assert len({a.digest for a in kept.values()}) == len({tuple(sorted(f.items())) for f in inputs.values()})
    keep = data.draw(st.sets(st.sampled_from(sorted(inputs))))
    store.gc(keep)
    for key, files in inputs.items():
        found = store.lookup(key)
        if key in keep:
            assert found.outputs[""] == kept[key]
            assert {p.name: p.read_bytes() for p in found.outputs[""].path.iterdir()} == files
        else:
            assert found is None
    assert store.verify() == []
    if keep:
        victim = data.draw(st.sampled_from(sorted(keep)))
        name = data.draw(st.sampled_from(sorted(inputs[victim])))
        path = kept[victim].path / name
        path.write_bytes(path.read_bytes() + b"!")
        assert [d.digest for d in store.verify(drop=True)] == [kept[victim].digest]
        assert store.lookup(victim) is None
    with contextlib.suppress(OSError):
        shutil.rmtree(store.root)


@pytest.mark.speed
def test_looking_up_is_quick(store):
    with store.lock(KEY):
        folder = store.prepare(KEY, ["model"])["model"]
        (folder / "big").write_bytes(b"x" * (64 << 20))
        store.commit(KEY, {"model": Made(folder, "model")})
    start = time.perf_counter()
    for _ in range(20):
        assert store.lookup(KEY) is not None
    # 20 readings of 64 MiB would take over a second at disk or hash speed.
    assert time.perf_counter() - start < 1
