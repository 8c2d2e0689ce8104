import json
import resource
import subprocess
import sys

import pytest
import toys

from kistack.cli import main
from kistack.plugins import host as hosts


@pytest.fixture
def doctor(monkeypatch, capsys, toy_project):
    loaded = hosts.load_host(entry_points=False, extra={"toys": toys})
    monkeypatch.setattr(hosts, "load_host", lambda: loaded)

    def call(*arguments):
        code = main.run(["doctor", "-C", str(toy_project), *arguments])
        return code, capsys.readouterr().out

    return call


def test_the_report_comes_as_text_markdown_and_json(doctor):
    code, text = doctor()
    assert code == 0
    assert "Nothing that kistack needs is broken." in text
    code, page = doctor("--format", "md")
    assert code == 0
    assert "# kistack doctor" in page
    assert "| reference | source | size | named as | state |" in page
    for arguments in (["--json"], ["--format", "json"]):
        code, document = doctor(*arguments)
        assert code == 0
        assert json.loads(document)["project"]["scenario"] == "toy-desk"


def test_what_is_broken_ends_with_one_and_stands_first(doctor, toy_project):
    (toy_project / "kistack.yaml").write_text("schema: 1\n")
    code, page = doctor("--format", "md")
    assert code == 1
    assert page.index("## Broken") < page.index("## Versions")
    assert doctor("--format", "xml")[0] == 2


def test_it_is_light():
    code = (
        "import sys; from kistack.cli import main; main.run(['doctor', '--json']);"
        "heavy = {'torch', 'transformers', 'peft', 'llama_index', 'lancedb', 'mlflow', 'sklearn', 'scipy', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    # Processor time of the quickest: other work on these cores can only add to it.
    runs = []
    while len(runs) < 4 and (not runs or min(runs) >= 2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["schema"] == 1
        runs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(runs) < 2, runs
