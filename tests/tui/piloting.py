"""Driving the wizard by its keys in a test."""

import asyncio
import time

from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import OptionList

from kistack.tui.app import WizardApp
from kistack.tui.screens.modals import ChoiceModal

SIZES = [(80, 24), (160, 50)]


class Wheel:
    """A wizard that runs: keys go in, what is shown comes out."""

    def __init__(self, app, pilot):
        self.app = app
        self.pilot = pilot

    @property
    def session(self):
        return self.app.session

    @property
    def step(self):
        return self.app.shown.STEP

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def write(self, text):
        for letter in text:
            send(self.app, letter)
        await self.pilot.pause()

    async def until(self, holds, seconds=30.0):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"waited in vain; the status says: {self.status}"
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def opened(self):
        await self.until(lambda: self.session.place is not None)

    async def judged(self):
        await self.until(lambda: self.session.bench is not None)

    async def judged_at(self, step):
        """Go to a step once the candidates are judged."""
        await self.opened()
        await self.judged()
        self.app.action_go(step)
        await self.until(lambda: self.step == step)

    async def choose(self, number):
        """Choose from the list in front, once it is there."""
        await self.until(lambda: isinstance(self.app.screen, ChoiceModal))
        self.app.screen.query_one(OptionList).highlighted = number
        await self.press("enter")

    @property
    def status(self):
        return str(self.app.shown.query_one("#status").render())

    def text(self, selector):
        return str(self.app.screen.query_one(selector).render())

    def picture(self):
        """All that is on the screen, as lines of plain text."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip)[:width] for strip in lines[:height])


def send(app, key):
    """A key as the terminal sends it, without waiting for what it does; a pilot's press waits until all is idle."""
    single = key if len(key) == 1 else {"space": " "}.get(key)
    app.post_message(Key(_character_to_key(key) if len(key) == 1 else key, single))


def drive(session, script, size=(120, 40)):
    """Run ``script`` with a wheel; whatever it returns."""

    async def main():
        app = WizardApp(session)
        async with app.run_test(size=size) as pilot:
            return await script(Wheel(app, pilot))

    return asyncio.run(main())


def write_distribution(site, name, **modules):
    """A distribution of that name whose modules (source by name) are plugins."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    points = "".join(f"{module} = {module}\n" for module in modules)
    (info / "entry_points.txt").write_text(f"[kistack]\n{points}")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
