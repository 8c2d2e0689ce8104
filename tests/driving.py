"""Driving the ``kistack`` command in processes of its own, and reading what it tells."""

import subprocess
import sys
import time

from kistack.execution.events import read_events


def start(*arguments, **options):
    """``kistack`` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "kistack", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def finish(process, seconds=300):
    """Its exit code, stdout and stderr."""
    said, told = process.communicate(timeout=seconds)
    return process.returncode, said, told


def events(root):
    """Every event of every run of a project, run by run."""
    return {folder.name: read_events(folder / "events.jsonl") for folder in sorted((root / ".kistack/runs").iterdir())}


def wait_until(happens, seconds=120, process=None):
    """Wait for something; fail when the process ends before it, or it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happens():
            return
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended before it happened: {process.communicate()}")
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")
