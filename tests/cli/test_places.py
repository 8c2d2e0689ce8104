import pytest
from commanding import commands

from kistack.cli import places


@pytest.fixture
def kistack(monkeypatch, toy_host, toy_project, capsys):
    monkeypatch.chdir(toy_project)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("kistack.cli.places.host", lambda: toy_host)
    monkeypatch.setattr("kistack.cli.deciding.host", lambda: toy_host)

    with commands(capsys) as call:
        yield call


@pytest.mark.parametrize(
    "arguments",
    [("advise", "-o"), ("profile", "--export"), ("report", "last", "-o")],
)
def test_what_is_there_is_only_written_over_with_force(kistack, toy_project, arguments):
    mine = toy_project / "mine.txt"
    mine.write_text("mine")
    code, text, error = kistack(*arguments, mine)
    assert (code, text) == (2, "")
    assert f"{mine} exists already" in error
    assert "--force" in error
    assert mine.read_text() == "mine"
    code, _, error = kistack(*arguments, toy_project / "nowhere" / "x")
    assert code == 2
    assert "nowhere is not a folder" in error
    code, _, error = kistack(*arguments, toy_project)
    assert code == 2
    assert "is a folder" in error
    if arguments[0] == "profile":  # the others take longer
        assert kistack(*arguments, mine, "--force")[0] == 0
        assert mine.read_text() != "mine"


def test_a_file_that_cannot_be_written_is_told_before_any_work(kistack, toy_project, monkeypatch):
    monkeypatch.setattr(places.os, "access", lambda path, mode, **_: mode != places.os.W_OK)
    code, text, error = kistack("advise", "-o", "plan.yaml")
    assert (code, text) == (2, "")
    assert "plan.yaml cannot be written" in error
    assert not (toy_project / ".kistack").exists()


def test_a_file_in_the_place_of_the_work_folder(kistack, toy_project):
    (toy_project / ".kistack").write_text("mine")
    for arguments in (("profile",), ("advise",), ("store", "du"), ("sweep",)):
        code, text, error = kistack(*arguments)
        assert (code, text) == (2, "")
        assert f"{toy_project / '.kistack'} is not a folder" in error
        assert error.count("hint: ") == 1
    assert (toy_project / ".kistack").read_text() == "mine"
