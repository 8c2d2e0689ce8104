"""Pictures of the wizard's screens for the documentation: ``python tests/tui/shots.py [FOLDER [PROJECT]]``.

Each screen is drawn into the folder (default: docs/img) at 80x24 and at 160x50, on the demo's project with the plugins
that are installed. The screens of a run need a project that has one: a copy of PROJECT is shown then.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tui.piloting import SIZES, Wheel

from kistack.demo.project import write_project
from kistack.tui.app import WizardApp
from kistack.tui.session import Session

STEPS = ("start", "profile", "goals", "recommendation")
RUN_STEPS = ("compose", "run", "results", "ask")
QUESTION = "Until when can we stay on Python 3.12?"
PATIENCE = 300


async def ready(wheel, step):
    """Until there is something to see."""
    app = wheel.app
    if step == "recommendation":
        await wheel.until(lambda: "flips" in wheel.session.advice.context, PATIENCE)
        await wheel.press("enter")
        await wheel.until(lambda: wheel.step == "compose")
        app.action_go("recommendation")
        await wheel.until(lambda: wheel.step == "recommendation")
    elif step == "run":
        await wheel.until(lambda: app.shown.view.ended, PATIENCE)
        await wheel.pilot.pause(2)  # curves are drawn one after the other
    elif step == "results":
        await wheel.until(lambda: app.shown.comparison is not None, PATIENCE)
    elif step == "ask":
        await wheel.until(lambda: app.shown.talks, PATIENCE)
        await wheel.write(QUESTION)
        await wheel.press("enter")
        await wheel.until(lambda: app.shown.talks and not app.shown.talks[0].busy, PATIENCE)


async def shoot(folder, target, size, steps):
    """One picture of each step."""
    app = WizardApp(Session(folder))
    async with app.run_test(size=size) as pilot:
        wheel = Wheel(app, pilot)
        await wheel.until(lambda: wheel.session.bench is not None, PATIENCE)
        for step in steps:
            app.action_go(step)
            await wheel.until(lambda step=step: wheel.step == step)
            await ready(wheel, step)
            await pilot.pause(0.5)
            name = f"wizard-{step}-{size[0]}x{size[1]}.svg"
            (target / name).write_text(app.export_screenshot(title=f"kistack: {step}"), encoding="utf-8")
            print(target / name)


def main():
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "img")
    target.mkdir(parents=True, exist_ok=True)
    # A path that says nothing of the machine: it stands in the pictures.
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder, "cache"))
        project = Path(folder, "release-desk")
        steps = STEPS
        if len(sys.argv) > 2:
            shutil.copytree(sys.argv[2], project)
            steps += RUN_STEPS
        else:
            write_project(project)
        for size in SIZES:
            asyncio.run(shoot(project, target, size, steps))


if __name__ == "__main__":
    main()
