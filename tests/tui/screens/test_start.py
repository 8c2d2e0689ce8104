import shutil

from tui.piloting import drive

from kistack.domain.scenario import load_scenario
from kistack.tui.session import Session


def test_the_project_of_this_folder_is_picked_up(session, toy_project):
    async def script(wheel):
        await wheel.opened()
        assert "toy-desk" in wheel.picture()
        await wheel.press("enter")
        assert wheel.step == "profile"
        await wheel.judged()
        return wheel.session.commands

    assert f"kistack profile -C {toy_project}" in drive(session, script)


def test_a_bare_folder_becomes_a_project_by_a_form(toy_project, toy_host):
    (toy_project / "kistack.yaml").unlink()

    async def script(wheel):
        assert "no kistack.yaml" in wheel.status
        await wheel.press("n")
        form = wheel.app.screen
        assert form.query_one("#field-documents").value == "documents"
        assert form.query_one("#field-pairs").value == "pairs.jsonl"
        form.query_one("#field-base").value = "toy:base"
        form.query_one("#field-embedder").value = ""
        form.query_one("#field-name").value = "desk"
        await wheel.press("ctrl+s")
        await wheel.until(lambda: wheel.step == "profile")
        return wheel.session.commands

    commands = drive(Session(toy_project, host=toy_host), script)
    assert load_scenario(toy_project).name == "desk"
    assert commands[0].startswith(f"kistack init {toy_project} --name desk --documents documents")


def test_a_form_that_does_not_fit_says_so_and_writes_nothing(toy_project, toy_host):
    (toy_project / "kistack.yaml").unlink()

    async def script(wheel):
        await wheel.press("n")
        wheel.app.screen.query_one("#field-pairs").value = "nowhere.jsonl"
        await wheel.press("ctrl+s")
        assert "nowhere.jsonl" in str(wheel.app.screen.query_one(".problem").render())
        await wheel.press("escape")
        assert wheel.step == "start"

    drive(Session(toy_project, host=toy_host), script)
    assert not (toy_project / "kistack.yaml").exists()


def test_the_demo_is_made_beside_and_opened(tmp_path, toy_host):
    async def script(wheel):
        await wheel.press("d")
        await wheel.until(lambda: wheel.session.place is not None)
        return wheel.session.place.scenario.name

    assert drive(Session(tmp_path, host=toy_host), script) == "release-desk"
    assert (tmp_path / "release-desk" / "kistack.yaml").is_file()


def test_a_recent_project_is_offered_and_opened(session, toy_project, tmp_path, toy_host):
    async def first(wheel):
        await wheel.opened()

    async def second(wheel):
        assert "Recent: toy-desk" in wheel.picture()
        await wheel.press("end", "enter")
        await wheel.until(lambda: wheel.step == "profile")
        return wheel.session.folder

    drive(session, first)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert drive(Session(elsewhere, host=toy_host), second) == toy_project


def test_a_scenario_with_mistakes_is_told_and_the_wizard_goes_on(session, toy_project):
    (toy_project / "kistack.yaml").write_text("name: x\nlimits: {memry: 3}\n")

    async def script(wheel):
        await wheel.until(lambda: "error" in wheel.status)
        return wheel.status

    told = drive(session, script)
    assert "memry" in told
    assert "hint" in told


def test_a_folder_without_a_project_asks_for_one_and_none_is_refused(session, toy_project, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(toy_project, other)
    (other / "kistack.yaml").unlink()

    async def script(wheel):
        await wheel.opened()
        await wheel.press("f")
        wheel.app.screen.query_one("#field-folder").value = str(tmp_path / "missing")
        await wheel.press("enter")
        assert "is not a folder" in str(wheel.app.screen.query_one(".problem").render())
        wheel.app.screen.query_one("#field-folder").value = str(other)
        await wheel.press("enter")
        assert wheel.app.screen.query("#field-base")

    drive(session, script)
