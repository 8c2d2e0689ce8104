"""The stages of these tests are in a module of their own, which workers import from this folder."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))


@pytest.fixture
def store(tmp_path):
    from kistack.storage.store import Store

    return Store(tmp_path / "store")


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "runs" / "run-1"
    folder.mkdir(parents=True)
    return folder
