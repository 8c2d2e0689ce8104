import subprocess
import sys

import pytest

from kistack.cli import main, wizarding
from kistack.cli.output import out
from kistack.tui.session import Session


def test_without_a_terminal_kistack_alone_shows_help_and_the_wizard_says_why_not(capsys):
    assert main.run([]) == 2
    assert "Usage: kistack" in capsys.readouterr().err
    assert main.run(["wizard"]) == 2
    assert "needs a terminal" in capsys.readouterr().err


def test_at_a_terminal_kistack_alone_is_the_wizard_and_tells_what_does_the_same(monkeypatch, capsys, tmp_path):
    session = Session(tmp_path)
    session.did("profile")
    monkeypatch.setattr(wizarding, "is_interactive", lambda: True)
    monkeypatch.setattr("kistack.tui.launching.launch", lambda folder, host: session)
    assert main.run([]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"kistack profile -C {tmp_path}\n"
    assert "the same without the wizard" in captured.err


def test_serving_beyond_this_machine_is_warned_about(monkeypatch, capsys, tmp_path):
    served = []
    monkeypatch.setattr("kistack.tui.launching.serve", lambda *given: served.append(given))
    assert main.run(["wizard", str(tmp_path), "--serve", "--host", "0.0.0.0", "--port", "9000"]) == 0
    assert served == [(tmp_path, "0.0.0.0", 9000)]
    assert "whoever reaches" in capsys.readouterr().err


def test_help_imports_no_textual():
    code = "import sys; from kistack.cli import main; main.run(['--help']); sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture(autouse=True)
def plain():
    yield
    out.quiet = out.debug = out.strict = False


def test_init_and_demo_write_what_the_wizard_writes(tmp_path, capsys):
    from kistack.tui.opening import Form, make_demo, make_project

    for name in ("one", "two"):
        (tmp_path / name / "d").mkdir(parents=True)
        (tmp_path / name / "p.csv").write_text("question,answer\n")
    make_project(tmp_path / "one", Form("x", "d", "p.csv", "toy:base", "toy:e"))
    words = ["init", str(tmp_path / "two"), "--name", "x", "--documents", "d", "--pairs", "p.csv", "--base", "toy:base"]
    assert main.run([*words, "--embedder", "toy:e"]) == 0
    assert (tmp_path / "one" / "kistack.yaml").read_text() == (tmp_path / "two" / "kistack.yaml").read_text()
    made = make_demo(tmp_path / "one") / "kistack.yaml"
    assert main.run(["demo", "--project-only", "--folder", str(tmp_path / "demo")]) == 0
    assert (tmp_path / "demo" / "kistack.yaml").read_text() == made.read_text()
