import os
import subprocess
import sys

import pytest

_QUIET = """
import socket, sys
calls = []
sys.addaudithook(lambda name, args: name in ("socket.connect", "socket.getaddrinfo") and calls.append((name, args)))
BEFORE
import kistack_haystack.components.asking as made
from haystack.telemetry import _telemetry
from kistack_haystack.components.store import FolderDocumentStore
from kistack_haystack.settings import RetrieverSettings
store = FolderDocumentStore.for_settings(RetrieverSettings(method="bm25"))
made.ask(made.question_pipeline(store, RetrieverSettings(method="bm25"), None), "a question")
assert _telemetry.telemetry is None
assert not calls, calls
assert not {"torch", "transformers", "nltk", "scipy"} & set(sys.modules)
"""


def run(code, home):
    environment = {**os.environ, "HOME": str(home), "HAYSTACK_TELEMETRY_ENABLED": "True"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_haystack_sends_no_statistics_leaves_nothing_at_home_and_loads_nothing_heavy(tmp_path):
    run(_QUIET.replace("BEFORE", ""), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nor_does_it_send_any_where_it_was_imported_before(tmp_path):
    run(_QUIET.replace("BEFORE", "sys.modules['torch'] = None; import haystack").rsplit("assert", 1)[0], tmp_path)


@pytest.mark.system
def test_haystack_finds_torch_when_it_looks_for_devices(tmp_path):
    code = """
import sys
import kistack_haystack.components
assert "torch" not in sys.modules
from haystack.utils import ComponentDevice
import torch
assert ComponentDevice.from_str("cpu").to_torch() == torch.device("cpu")
"""
    run(code, tmp_path)


def test_a_module_that_comes_later_comes_once(monkeypatch):
    from kistack_haystack.components import Later

    monkeypatch.setitem(sys.modules, "colorsys", later := Later("colorsys"))
    assert later.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert sys.modules["colorsys"] is not later
    assert later.rgb_to_hsv is sys.modules["colorsys"].rgb_to_hsv
