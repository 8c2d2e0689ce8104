"""Environments made from nothing, and commands in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What would let a clean environment see this one.
_LEAKS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "KISTACK_DISABLE_PLUGINS", "MAKEFLAGS", "MAKELEVEL")


class Environment:
    """A virtual environment and the commands in it."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if name not in _LEAKS}
        self.env["COLUMNS"] = "200"

    @property
    def python(self):
        return self.folder / "bin" / "python"

    def create(self):
        subprocess.run([sys.executable, "-m", "venv", self.folder], check=True)
        return self

    def pip(self, *arguments):
        options = ["--quiet", "--no-input", "--disable-pip-version-check"]
        done = self.run(self.python, "-m", "pip", *arguments, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *command, cwd=None, seconds=900):
        """The finished process; its output as text."""
        return subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def kistack(self, *arguments, cwd=None, code=0, seconds=900):
        done = self.run(self.folder / "bin" / "kistack", *arguments, cwd=cwd, seconds=seconds)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def new_environment(tmp_path_factory):
    """Make an empty virtual environment."""
    return lambda name: Environment(tmp_path_factory.mktemp("environments") / name).create()


@pytest.fixture(scope="session")
def environment_at():
    """The virtual environment in a folder."""
    return Environment
