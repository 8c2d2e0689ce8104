import asyncio
import html
import json
import re
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import psutil
import pytest

from kistack.errors import InputError
from kistack.tui import launching

FIRST_FRAME = """
import asyncio, json, resource, sys, time
from pathlib import Path

def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

from kistack.tui.app import WizardApp
from kistack.tui.session import Session

async def main():
    app = WizardApp(Session(Path(sys.argv[1])))
    async with app.run_test(size=(120, 40)) as pilot:
        while not app.screen_stack or not app.screen.is_running or app.shown is None or not app.shown.query("#ways"):
            await pilot.pause(0)
        heavy = [m for m in ("torch", "transformers", "peft", "numpy", "sklearn", "cel", "lancedb", "pydantic",
                             "textual_plotext", "kistack.bundle.workspace") if m in sys.modules]
        print(json.dumps({"seconds": spent(), "heavy": heavy}))

asyncio.run(main())
"""


@pytest.mark.speed
def test_the_first_frame_takes_less_than_a_second_and_loads_nothing_heavy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["heavy"] == []
    print(found)
    assert found["seconds"] < 1.0  # of processor time, the interpreter's start included


def test_a_folder_that_is_none_is_refused(tmp_path):
    for start in (lambda: launching.launch(tmp_path / "no"), lambda: launching.serve(tmp_path / "no", "localhost", 1)):
        with pytest.raises(InputError, match="not a folder"):
            start()


def test_a_port_in_use_is_told_before_serving(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot be used"):
            launching.serve(tmp_path, "127.0.0.1", taken.getsockname()[1])


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


async def frames_of(url, words, keys=""):
    """What a browser is sent until all the words were on it; ``keys`` are sent once the first one is."""
    async with aiohttp.ClientSession() as client:
        async with client.get(url) as answer:
            page = await answer.text()
        assert answer.status == 200
        assert "kistack" in page
        # Where the page says that its socket is, as its script asks for it.
        [place] = re.findall(r'data-session-websocket-url="([^"]+)"', page)
        async with client.ws_connect(f"{html.unescape(place)}?width=100&height=30") as socket_:
            shown, waited = "", list(words)
            async for message in socket_:
                if message.type is aiohttp.WSMsgType.BINARY:
                    shown += message.data.decode(errors="replace")
                while waited and waited[0] in shown:
                    waited.pop(0)
                    if keys:
                        await socket_.send_json(["stdin", keys])
                        keys = ""
                if not waited:
                    return shown
            raise AssertionError(f"the socket was closed before {waited} came: {shown[-2000:]}")


@pytest.mark.system
def test_a_browser_gets_the_wizard_and_ctrl_c_ends_it(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "kistack", "wizard", str(tmp_path), "--serve", "--host", "127.0.0.1"]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            end = time.monotonic() + 60
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, server.stdout.read()
                assert time.monotonic() < end
                time.sleep(0.1)
            # The first frame, then what a key brings: help over the first step.
            wanted = ["[Start]", "Help: Start"]
            asyncio.run(asyncio.wait_for(frames_of(f"http://127.0.0.1:{port}/", wanted, keys="?"), 60))
            wizards = psutil.Process(server.pid).children(recursive=True)
            server.send_signal(signal.SIGINT)
            said, _ = server.communicate(timeout=30)
        finally:
            server.kill()
    assert server.returncode == 0, said
    assert "Traceback" not in said
    # A browser that left took its wizard with it, and what was left went with the server.
    assert psutil.wait_procs(wizards, timeout=20)[1] == []
