"""The tutorial of Python runs as it stands, up to the run itself, which takes minutes."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "python.md"


def samples():
    """Every block of Python with the output that the page shows after it."""
    parts = re.split(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for code, after in zip(parts[1::2], parts[2::2], strict=True):
        shown = re.search(r"^```text\n(.*?)^```$", after, re.MULTILINE | re.DOTALL)
        yield code, shown[1] if shown else ""


def masked(text):
    """A text without its numbers, which are the machine's, and without the last of several blank lines."""
    return re.sub(r"\d+(?:\.\d+)?", "#", text).strip()


def test_the_blocks_say_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = list(samples())
    names = {}
    for code, shown in found[:-1]:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(code, str(PAGE), "exec"), names)
        if "kistack.advise(" not in code:  # which plans win is the machine's too
            assert masked(said.getvalue()) == masked(shown)
        else:
            assert len(said.getvalue().splitlines()) == len(shown.strip().splitlines())
    assert "kistack.run(" in found[-1][0]
    assert names["pipeline"].plan == names["plan"]
