import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.errors import StoreError
from kistack.storage.hashing import FileEntry, HashCache, difference, digest_of, hash_file, survey, unchanged, walk

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda n: n not in {".", ".."} and len(n.encode()) < 200
)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_the_digest_is_of_paths_sizes_and_bytes_only(tmp_path):
    one = fill(tmp_path / "one", {"a/b.txt": b"xy", "c": b""})
    two = fill(tmp_path / "two", {"c": b"", "a/b.txt": b"xy"})
    os.utime(two / "c", (1, 1))
    assert digest_of(survey(one)) == digest_of(survey(two))
    assert [name for name, _ in walk(one)] == ["a/b.txt", "c"]
    for change in ({"a/b.txt": b"xz", "c": b""}, {"a/b.txt": b"xy", "d": b""}, {"a": b"xy", "c": b""}):
        other = fill(tmp_path / f"o{len(list(tmp_path.iterdir()))}", change)
        assert digest_of(survey(other)) != digest_of(survey(one))


@given(st.lists(st.tuples(NAMES, st.binary(max_size=8)), unique_by=lambda f: f[0], max_size=4))
def test_no_two_contents_share_a_digest(files):
    entries = [FileEntry(n, len(d), d.hex(), 0, 0) for n, d in files]
    again = [FileEntry(n, len(d), d.hex(), 9, 9) for n, d in reversed(files)]
    assert digest_of(entries) == digest_of(again)
    if files:
        renamed = [FileEntry(entries[0].path + "x", entries[0].size, entries[0].sha256, 0, 0), *entries[1:]]
        assert digest_of(renamed) != digest_of(entries)


def test_links_are_followed_for_their_content(tmp_path):
    real = fill(tmp_path / "real", {"weights": b"w" * 100, "sub/x": b"1"})
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "weights").symlink_to(real / "weights")
    (linked / "sub").symlink_to(real / "sub")
    assert digest_of(survey(linked)) == digest_of(survey(real))
    (real / "weights").write_bytes(b"v" * 100)
    assert digest_of(survey(linked)) == digest_of(survey(real))


def test_what_cannot_be_kept_is_refused(tmp_path):
    dangling = tmp_path / "dangling"
    dangling.mkdir()
    (dangling / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="cannot be read"):
        survey(dangling)
    circle = tmp_path / "circle"
    (circle / "deep").mkdir(parents=True)
    (circle / "deep" / "up").symlink_to(circle)
    with pytest.raises(StoreError, match="above itself"):
        survey(circle)
    pipe = tmp_path / "pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "p")
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        survey(pipe)


def test_a_change_is_seen_without_reading(tmp_path):
    folder = fill(tmp_path / "f", {"a": b"1", "b": b"2"})
    entries = survey(folder)
    assert unchanged(folder, entries)
    later = time.time() + 5
    os.utime(folder / "a", (later, later))
    assert not unchanged(folder, entries)
    assert difference(entries, survey(folder)) == ""
    (folder / "b").unlink()
    assert difference(entries, survey(folder)) == "b is missing"
    (folder / "b").write_bytes(b"3")
    assert difference(entries, survey(folder)) == "b has changed"
    (folder / "c").write_bytes(b"3")
    assert difference(entries, survey(folder)) == "b has changed"
    assert difference(survey(folder), entries) == "b has changed"
    (folder / "b").write_bytes(b"2")
    assert difference(entries, survey(folder)) == "c does not belong to it"
    assert not unchanged(tmp_path / "gone", entries)


def test_digests_of_large_files_are_remembered_until_they_change(tmp_path, monkeypatch):
    large = tmp_path / "large"
    large.write_bytes(b"a" * (5 << 20))
    old = time.time() - 100
    os.utime(large, (old, old))
    cache = HashCache(tmp_path / "hashes.db")
    first, _ = hash_file(large, cache)
    assert cache.get(large, large.stat()) == first

    def explode(*_):
        raise AssertionError("read again")

    monkeypatch.setattr("hashlib.file_digest", explode)
    assert hash_file(large, cache)[0] == first
    monkeypatch.undo()
    large.write_bytes(b"b" * (5 << 20))
    assert hash_file(large, cache)[0] != first
    # Just written: it might change again within one tick of the clock, so it is not remembered.
    assert cache.get(large, large.stat()) is None


def test_a_damaged_cache_costs_only_time(tmp_path):
    (tmp_path / "hashes.db").write_bytes(b"not a database" * 100)
    large = tmp_path / "large"
    large.write_bytes(b"a" * (5 << 20))
    os.utime(large, (1, 1))
    cache = HashCache(tmp_path / "hashes.db")
    assert hash_file(large, cache)[0] == hash_file(large)[0]
