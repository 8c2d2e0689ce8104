import errno

import pytest

from kistack.domain.calibration import UNCALIBRATED, Calibration, Correction
from kistack.errors import FolderError, InputError, StoreError
from kistack.storage.project import CALIBRATION_FILE, Project


def test_the_project_is_found_from_below_and_nothing_is_written_by_looking(tmp_path):
    (tmp_path / "kistack.yaml").write_text("task: facts\n")
    deep = tmp_path / "docs" / "deep"
    deep.mkdir(parents=True)
    found = Project.find(deep)
    assert found.root == tmp_path
    assert found.scenario == tmp_path / "kistack.yaml"
    assert found.profile == tmp_path / ".kistack" / "profile.json"
    assert not found.work.exists()


def test_no_project_has_a_remedy(tmp_path):
    with pytest.raises(InputError, match=r"no kistack\.yaml in") as caught:
        Project.find(tmp_path)
    assert "kistack init" in caught.value.hint


def test_everything_made_lies_in_one_hidden_folder(tmp_path):
    (tmp_path / "kistack.yaml").write_text("x")
    project = Project(tmp_path)
    project.store()
    project.ledger()
    run = project.new_run()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".kistack", "kistack.yaml"]
    assert (tmp_path / ".kistack" / ".gitignore").read_text() == "*\n"
    assert run.is_dir()
    assert (tmp_path / "kistack.yaml").read_text() == "x"


def test_runs_are_found_by_the_beginning_of_their_id(tmp_path):
    project = Project(tmp_path)
    with pytest.raises(InputError, match="no run 'last'"):
        project.run_folder("last")
    one, two = project.new_run(), project.new_run()
    assert one != two
    assert project.run_folder(one.name) == one
    assert project.run_folder("last") == max(one, two)
    assert project.run_folder(two.name[:-1]) == two or one.name[:-1] == two.name[:-1]
    with pytest.raises(InputError, match="ambiguous"):
        project.run_folder("2")
    with pytest.raises(InputError, match="no run") as caught:
        project.run_folder("../../etc")
    assert one.name in caught.value.hint


def test_a_folder_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        Project.find(tmp_path / "nowhere")


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / ".kistack").write_text("mine")
    with pytest.raises(FolderError, match=r"\.kistack is not a folder") as caught:
        Project(tmp_path).store()
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, StoreError)
    assert (tmp_path / ".kistack").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(FolderError, match=r"cannot write to .*\.kistack.* Permission denied") as caught:
        Project(tmp_path).ledger()
    assert caught.value.exit_code == 2
    assert "writable" in caught.value.hint


def test_a_calibration_is_kept_and_one_that_cannot_be_read_is_as_none(tmp_path):
    project = Project(tmp_path)
    assert project.calibration() == UNCALIBRATED
    assert not project.work.exists()
    known = Calibration({("seconds", "tune/x", "m"): Correction(0.5, 0.1, 2, 1)}, 3)
    project.keep_calibration(known)
    assert Project(tmp_path).calibration() == known
    for text in ("{", "[]", '{"schema": 99}', '{"schema": 1, "runs": 1, "corrections": [{}]}', '{"schema": 1}'):
        (project.work / CALIBRATION_FILE).write_text(text)
        assert project.calibration() == UNCALIBRATED
    project.keep_calibration(known)
    assert project.calibration() == known
