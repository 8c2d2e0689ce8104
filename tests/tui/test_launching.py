import json
import os
import subprocess
import sys
import time
import urllib.request

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
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="cannot be used"):
            launching.serve(tmp_path, "127.0.0.1", taken.getsockname()[1])


@pytest.mark.system
def test_a_browser_gets_the_page_of_the_wizard(tmp_path):
    port = 18431
    command = [
        sys.executable,
        "-m",
        "kistack",
        "wizard",
        str(tmp_path),
        "--serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as server:
        try:
            for _ in range(100):
                time.sleep(0.1)
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                        text = answer.read().decode()
                    break
                except OSError:
                    continue
            assert "kistack" in text
        finally:
            server.terminate()
