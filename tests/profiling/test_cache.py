"""Facts are kept by key; a cache that fails costs time, never an error."""

import os

import pytest

from kistack.domain.facts import measured
from kistack.profiling.cache import Cache, default_folder, stamp


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def test_facts_are_measured_once_per_key(cache):
    calls = []

    def measure():
        calls.append(1)
        return {"a.b": measured(len(calls), "counted", "B")}

    first = cache.facts("a", ["key", 1], measure)
    assert cache.facts("a", ["key", 1], measure) == first
    assert cache.facts("a", ["key", 2], measure)["a.b"].value == 2
    assert cache.facts("b", ["key", 1], measure)["a.b"].value == 3
    assert len(calls) == 3


@pytest.mark.parametrize("damage", [b"{}", b"", b"{", b'{"a": 1}', b"[]", b'{"a": {"value": 1}}', b"\xff"])
def test_a_damaged_file_is_measured_again(cache, damage):
    cache.write("a", "key", {"x": measured(1, "once")})
    (file,) = cache.folder.iterdir()
    file.write_bytes(damage)
    assert cache.facts("a", "key", lambda: {"x": measured(2, "again")})["x"].value == 2
    assert cache.read("a", "key")["x"].value == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.facts("a", "key", lambda: {"x": measured(1, "once")})["x"].value == 1
    assert cache.read("a", "key") is None


def test_stamps_follow_names_sizes_and_times(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    first = stamp([folder])
    assert stamp([folder]) == first
    os.utime(folder / "a.txt", ns=(1, 1))
    second = stamp([folder])
    (folder / "b.txt").write_text("")
    assert len({first, second, stamp([folder]), stamp([]), stamp([tmp_path / "nowhere"])}) == 5


def test_the_default_folder_follows_the_convention(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "kistack"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "kistack"
