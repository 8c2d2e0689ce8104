import shlex

from kistack.bundle.workspace import Workspace
from kistack.tui.session import Session


def test_commands_are_noted_once_the_last_of_equal_ones_staying(tmp_path):
    session = Session(tmp_path)
    session.did("profile")
    session.did("advise", "--set", "limits.memory=2 GiB")
    session.did("profile")
    assert session.commands == [
        f"kistack advise --set 'limits.memory=2 GiB' -C {tmp_path}",
        f"kistack profile -C {tmp_path}",
    ]
    assert shlex.split(session.commands[0])[3] == "limits.memory=2 GiB"


def test_a_plan_survives_another_reading_of_its_project_but_not_another_project(opened, toy_host, tmp_path):
    opened.plan = object()
    opened.use(Workspace.find(opened.folder, host=toy_host))
    assert opened.plan is not None
    assert opened.profile is None
    other = tmp_path / "other"
    other.mkdir()
    (other / "kistack.yaml").write_text("schema: 1\nname: other\nmodels: {base: 'toy:base'}\n")
    opened.use(Workspace.find(other, host=toy_host))
    assert opened.plan is None
    assert opened.folder == other
