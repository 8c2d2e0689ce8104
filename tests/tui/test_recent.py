import json

from kistack.tui.recent import MOST, recent, remember


def make(folder):
    folder.mkdir(parents=True)
    (folder / "kistack.yaml").write_text("x")
    return folder


def test_the_latest_comes_first_and_each_stands_once(tmp_path, own_cache):
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    for folder in (one, two, one):
        remember(folder, folder.name)
    assert [r.name for r in recent()] == ["one", "two"]
    assert (own_cache / "recent.json").is_file()


def test_projects_that_are_gone_are_left_out(tmp_path):
    gone = make(tmp_path / "gone")
    remember(gone, "gone")
    (gone / "kistack.yaml").unlink()
    assert recent() == []


def test_only_so_many_are_kept(tmp_path):
    for n in range(MOST + 3):
        remember(make(tmp_path / str(n)), str(n))
    assert len(recent()) == MOST


def test_a_damaged_list_or_a_cache_that_cannot_be_written_is_no_error(tmp_path, own_cache):
    for text in ("{", "[]", json.dumps({"projects": [3]}), json.dumps({"projects": [{"folder": 1}]})):
        (own_cache / "recent.json").write_text(text)
        assert recent() == []
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    remember(tmp_path, "x", blocked / "cache")
