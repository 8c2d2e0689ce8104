"""The wizard from a bare folder to an answer, and its files run by the command line elsewhere: the same results."""

import json
import shutil

import pytest
from driving import finish, start
from textual.widgets import Input
from tinydesk import write_tiny_project
from tui.piloting import drive

from kistack.bundle.archive import kept_run
from kistack.bundle.workspace import Workspace
from kistack.domain.artifacts import ANSWERS_FILE
from kistack.domain.planfile import load_plan
from kistack.tui.plan_editing import estimate_line
from kistack.tui.screens.modals import FormModal
from kistack.tui.session import Session
from kistack.tui.widgets.settings_form import SettingRow

PATIENCE = 300
QUESTION = "Which colour has the bridge of Jona 8?"


async def make_project(wheel):
    await wheel.press("n")
    await wheel.until(lambda: isinstance(wheel.app.screen, FormModal))
    form = wheel.app.screen
    form.query_one("#field-base", Input).value = "llama"
    form.query_one("#field-embedder", Input).value = "encoder"
    await wheel.press("ctrl+s")
    await wheel.until(lambda: wheel.step == "profile")
    await wheel.until(lambda: wheel.session.bench is not None, PATIENCE)


async def state_goals(wheel):
    wheel.app.action_go("goals")
    await wheel.until(lambda: wheel.step == "goals")
    wheel.app.shown.query_one("#goal-limits-memory").focus()
    wheel.app.shown.query_one("#goal-limits-memory", Input).value = "8GB"
    await wheel.until(lambda: wheel.session.changes.get("limits.memory") == "8GB")
    await wheel.press("ctrl+s")
    await wheel.until(lambda: not wheel.session.changes)


async def take_three_techniques(wheel):
    await wheel.judged_at("recommendation")
    screen = wheel.app.shown
    await wheel.until(lambda: screen.row is not None)
    for technique, key in (("retrieve", "r"), ("distill", "d"), ("tune", "t"), ("quantize", "q")):
        if (technique in screen.row.techniques) != (technique != "distill"):
            await wheel.press(key)
    assert screen.row.techniques == {"retrieve", "tune", "quantize"}
    await wheel.press("enter")
    await wheel.until(lambda: wheel.step == "compose")


async def compose(wheel):
    """One setting changed, one step removed."""
    screen = wheel.app.shown
    await wheel.until(lambda: screen.editor is not None and len(screen.editor.steps) == 3)
    uses = [s.use for s in screen.editor.steps]
    before = estimate_line(screen.editor.standing)
    await wheel.press(*["down"] * uses.index("tune/lora"))
    await wheel.until(lambda: any(r.field.name == "epochs" for r in screen.query(SettingRow)))
    row = next(r for r in screen.query(SettingRow) if r.field.name == "epochs")
    row.query_one(Input).value = "3"
    await wheel.until(lambda: screen.editor.steps[uses.index("tune/lora")].with_.get("epochs") == 3)
    await wheel.press(*["home"], *["down"] * uses.index("quantize/gguf"), "x")
    await wheel.until(lambda: [s.kind for s in screen.editor.steps] == ["retrieve", "tune"])
    assert estimate_line(screen.editor.standing) != before
    await wheel.press("g")
    await wheel.until(lambda: isinstance(wheel.app.screen, FormModal))
    await wheel.press("enter")
    await wheel.until(lambda: wheel.step == "run")


async def run(wheel):
    screen = wheel.app.shown
    await wheel.press("s")
    await wheel.until(lambda: screen.view.ended, PATIENCE)
    assert screen.view.status == "done", screen.view.cause
    assert screen.view.series["loss"].values
    assert screen.view.series["tokens_per_second"].values
    await wheel.press("enter")
    await wheel.until(lambda: wheel.step == "results")
    await wheel.until(lambda: wheel.app.shown.comparison is not None)


async def ask(wheel):
    wheel.app.action_go("ask")
    await wheel.until(lambda: wheel.step == "ask" and wheel.app.shown.talks)
    await wheel.write(QUESTION)
    await wheel.press("enter")
    [talk] = wheel.app.shown.talks
    await wheel.until(lambda: not talk.busy, PATIENCE)
    # Which ones an encoder of random weights finds is its own affair; the command line must find the same.
    assert talk.passages
    assert all(p.document.endswith(".md") and p.text for p in talk.passages)
    return talk.answer


def passages_of(record, root):
    rows = (Workspace.find(root).store.path(record.systems["plan"].answers) / ANSWERS_FILE).read_text().splitlines()
    return {r["id"]: [(p["document"], p["text"]) for p in r["passages"]] for r in map(json.loads, rows)}


def digests_of(record):
    """Of all that does not rest on times: those differ from run to run, and so do their scores."""
    kept = [s for s in record.steps if s.deterministic and s.use != "evaluate/speed"]
    return sorted((s.use, n, d) for s in kept for n, d in s.outputs.items())


@pytest.mark.system
def test_the_whole_way_and_the_same_by_the_command_line(tmp_path, tiny_models, one_core, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = write_tiny_project(tmp_path / "desk", tiny_models)
    (root / "kistack.yaml").unlink()
    (root / "plan.yaml").unlink()

    async def script(wheel):
        await make_project(wheel)
        await state_goals(wheel)
        await take_three_techniques(wheel)
        await compose(wheel)
        await run(wheel)
        return await ask(wheel)

    session = Session(root)
    drive(session, script, (120, 40))
    assert session.run_dir is not None
    here = kept_run(session.run_dir).record
    told = "\n".join(session.commands)
    for verb in ("init", "profile", "check", "run", "report", "ask"):
        assert f"kistack {verb}" in told

    other = write_tiny_project(tmp_path / "elsewhere", tiny_models)
    for name in ("kistack.yaml", "plan.yaml"):
        shutil.copy(root / name, other / name)
    assert load_plan(other / "plan.yaml") == session.plan
    code, _, error = finish(start("-q", "run", "plan.yaml", cwd=other))
    assert code == 0, error
    [run_dir] = (other / ".kistack/runs").iterdir()
    there = kept_run(run_dir).record
    assert digests_of(there) == digests_of(here)
    assert any(use == "tune/lora" for use, _, _ in digests_of(here))
    assert passages_of(there, other) == passages_of(here, root)
