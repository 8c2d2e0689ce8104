"""The documentation as a site: it builds strictly, and asks no other machine for anything."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
#: What a browser fetches by itself when it opens a page.
FETCHED = re.compile(
    r'<(?:script|img|iframe|source|video)[^>]*\ssrc=["\']?([^"\' >]+)|<link[^>]*\shref=["\']?([^"\' >]+)'
)


def build(folder, root=ROOT):
    # Not --quiet: what is not told does not count for --strict.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    command += ["--config-file", str(root / "mkdocs.yml")]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed; make docs installs it")
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built(site):
    pages = {p.relative_to(ROOT / "docs").with_suffix(".html") for p in (ROOT / "docs").rglob("*.md")}
    assert {p for p in pages if not (site / p).is_file()} == set()
    assert (site / "reference" / "schemas" / "plan.json").is_file()
    assert not (site / "tools").exists()


def test_no_page_fetches_anything_from_another_machine(site):
    for page in site.rglob("*.html"):
        for match in FETCHED.finditer(page.read_text()):
            address = match[1] or match[2]
            assert not re.match(r"(?:https?:)?//", address), f"{page.name}: {address}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet.name


def test_a_broken_link_or_anchor_is_an_error(site, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text(
        re.sub(r"^nav:.*", "", (ROOT / "mkdocs.yml").read_text(), flags=re.DOTALL | re.MULTILINE)
    )
    for text in ("[x](nowhere.md)", "[x](#nothing)", "[x](/absolute.md)"):
        (tmp_path / "docs" / "index.md").write_text(f"# A page\n\n{text}\n")
        assert build(tmp_path / "out", tmp_path).returncode == 1, text
    (tmp_path / "docs" / "index.md").write_text("# A page\n\n[x](#a-page)\n")
    assert build(tmp_path / "out", tmp_path).returncode == 0
