"""Scenarios: read from YAML with units, paths and defaults; every mistake at once, each with its line."""

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from kistack.domain.prompt import PromptTemplate
from kistack.domain.scenario import Changes, Scenario, load_scenario
from kistack.domain.scenario_template import TEMPLATE, render_template
from kistack.errors import InputError, ScenarioError

BASE = {"name": "x", "models": {"base": "hub:org/model"}}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "pairs.jsonl").write_text("")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "kistack.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> dict[str, tuple[str, str]]:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(folder, text))
    assert caught.value.exit_code == 2
    return {f"{p.where.rpartition(':')[2]}: {p.message}": p.hint for p in caught.value.problems}


def test_a_full_scenario_is_read(project):
    scenario = load_scenario(
        write(
            project,
            """\
schema: 1
name: release desk
task: {kind: both, metric: token_f1, at_least: 70%}
knowledge:
  corpus:
    - docs
    - {path: old, part: archive, erasable: yes, licence: MIT}
  pairs: pairs.jsonl
  split: {test: 25%, by: entity}
  changes: 2%/day
  as_of: 2025-07-01
  snapshots: {2024-07-01: old, 2023-07-01: old}
models: {base: "hub:org/model", teacher: "package:x", judge: "hub:a/b"}
train_on: {ram: 16GiB, cores: 4, bandwidth: 20 GB/s, isa: [avx2], gpus: 0}
serve_on: this
traffic: {queries_per_day: 10/h, concurrency: 2}
limits: {memory: 2GiB, latency_p95: 300ms, training_time: 2h30m, money: $3, local_only: true}
indifference: 1.5
horizon: 1 week
prompt: {system: "", bare: "Q: {question}"}
policies: [default, mine/rules.yaml]
""",
        )
    )
    assert scenario.task.at_least == 0.7
    assert [(p.name, p.path, p.erasable) for p in scenario.knowledge.corpus] == [
        ("docs", project / "docs", False),
        ("archive", project / "old", True),
    ]
    assert scenario.knowledge.changes == Changes(mode="declared", per_day=0.02, text="2%/day")
    assert [s.as_of.year for s in scenario.knowledge.snapshots] == [2024, 2023]
    assert scenario.models.references == {
        "model": "hub:org/model",
        "teacher": "package:x",
        "judge": "hub:a/b",
    }
    assert scenario.train_on.bandwidth == 20e9
    assert not scenario.train_on.is_this
    assert scenario.serve_on.is_this
    assert scenario.traffic.queries_per_day == 240
    assert (scenario.limits.memory, scenario.limits.latency_p95) == (2 * 1024**3, 0.3)
    assert scenario.horizon == 7 * 86_400
    assert scenario.template == PromptTemplate(system="", bare="Q: {question}")
    assert scenario.policies == ("default", str(project / "mine/rules.yaml"))
    assert scenario.folder == project
    assert Scenario.model_validate(scenario.to_dict()).to_dict() == scenario.to_dict()


def test_defaults_and_a_scenario_built_in_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scenario = Scenario.model_validate({**BASE, "knowledge": {"corpus": "somewhere", "changes": "90d"}})
    assert scenario.folder == tmp_path
    assert scenario.file is None
    assert scenario.horizon == 90 * 86_400
    assert scenario.indifference == 2
    assert scenario.knowledge.corpus[0].path == Path("somewhere")
    assert scenario.knowledge.changes.per_day == pytest.approx(math.log(2) / 90)
    assert scenario.template == PromptTemplate()
    assert Scenario.model_validate(scenario.to_dict()) == scenario


def test_a_folder_stands_for_its_kistack_yaml(project):
    write(project, "name: x\nmodels: {base: docs}\n")
    scenario = load_scenario(project)
    assert scenario.file == project / "kistack.yaml"
    assert scenario.models.base == str(project / "docs"), "existing relative paths become absolute"


def test_an_exported_profile_is_a_device(project):
    (project / "edge.json").write_text("{}")
    scenario = load_scenario(write(project, "name: x\nmodels: {base: 'hub:a/b'}\nserve_on: edge.json\n"))
    assert scenario.serve_on.profile == project / "edge.json"
    assert not scenario.serve_on.is_this


def test_every_problem_is_found_at_once_with_its_line(project):
    found = problems(
        project,
        """\
schema: 2
nam: x
task:
  kind: fact
  at_least: 80
  at_least: 70%
knowledge:
  corpus: [{pth: docs}, nodocs]
  pairs: nope.jsonl
  split: {test: 130%, by: documents}
  changes: 0.3
  snapshots:
    2024-13-01: docs
models:
  teacher: 3
train_on: {ram: 8 gigs, cores: 0, gpu: 1}
serve_on: nofile.json
traffic: {queries_per_day: many}
limits: {latency_p95: 3, memory: -2GiB, money: 3 EUR}
horizon: !!python/object/apply:os.system [echo]
prompt: {bare: hello}
indifference: .nan
policies: 3
""",
    )
    expected = {
        "1: schema: 2 is not known": "reads schema 1",
        "1: 'name' is missing": "a name",
        "2: unknown key 'nam'": "did you mean 'name'?",
        "4: task.kind: 'fact' is not accepted": "did you mean 'facts'? accepted: facts, behaviour, both",
        "6: the key 'at_least' stands twice (first at line 5)": "keep one",
        "8: 'knowledge.corpus[0].path' is missing": "a folder",
        "8: unknown key 'knowledge.corpus[0].pth'": "did you mean 'path'?",
        "10: knowledge.split.test: '130%' lies outside 0 to 100 %": "80%",
        "10: knowledge.split.by: 'documents' is not accepted": "did you mean 'document'?",
        "11: knowledge.changes: 0.3 is neither a rate nor a half-life": "2%/day",
        "12: knowledge.snapshots.as_of: '2024-13-01' is not a date: month must be in 1..12": "2024-07-01",
        "14: 'models.base' is missing": "package:NAME",
        "15: models.teacher: 3 should be a valid string": "distil from",
        "16: train_on.ram: '8 gigs' has no known unit of size ('gigs')": "2GiB",
        "16: train_on.cores: 0 should be greater than or equal to 1": "cores",
        "16: unknown key 'train_on.gpu'": "did you mean 'gpus'?",
        "18: traffic.queries_per_day: 'many' is not a rate": "50/day",
        "19: limits.latency_p95: 3 has no unit of time": "300ms",
        "19: limits.memory: '-2GiB' is negative: a size is zero or more": "2GiB",
        "19: limits.money: '3 EUR' is not in US dollars": "2.50 USD",
        "20: the tag !!python/object/apply:os.system is refused: only plain values are read": "remove",
        "21: prompt: bare lacks {question}": "write {question}",
        "22: indifference: nan should be a finite number": "points",
        "23: policies: 3 should be a list": "policy files",
    }
    for message, hint in expected.items():
        assert message in found
        assert hint in found[message]
    missing_paths = [m for m in found if "does not exist" in m]
    assert [m.partition(":")[0] for m in missing_paths] == ["8", "9", "17"]
    assert len(found) == len(expected) + len(missing_paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("- a\n- b\n", "not keys with values"),
        ("name: [x\n", "not YAML"),
        ("name: x\nmodels: 3\n", "models: 3"),
        ("name: ''\nmodels: {base: 'hub:a/b'}\n", "name: ''"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nknowledge: {corpus: 3}\n", "knowledge.corpus: 3"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nknowledge: {pairs: [3]}\n", "3 is not a path"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nknowledge: {changes: often}\n", "'often' is neither"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nknowledge: {changes: 50/day}\n", "'50/day' is neither"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nserve_on: 3\n", "serve_on: 3"),
        ("name: x\nmodels: {base: 'hub:a/b', teacher: }\n", "models.teacher has no value"),
        ("name: x\nmodels: {base: 'hub:a/b'}\nhorizon: 1e400d\n", "'1e400d' is larger than any duration"),
        *(
            (f"name: x\nmodels: {{base: 'hub:a/b'}}\nlimits: {{{limit}}}\n", "nothing keeps a limit of zero")
            for limit in ("memory: 0GB", "disk: 0", "latency_p95: 0s", "training_time: 0")
        ),
    ],
)
def test_one_wrong_value_is_named(project, text, message):
    found = problems(project, text)
    assert len(found) == 1
    assert message in next(iter(found))


def test_a_missing_file_and_one_that_is_not_text(tmp_path):
    with pytest.raises(InputError, match=r"kistack\.yaml"):
        load_scenario(tmp_path)
    (tmp_path / "kistack.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_scenario(tmp_path)


def test_scenarios_are_frozen(tmp_path):
    scenario = Scenario.model_validate(BASE)
    with pytest.raises(ValidationError):
        scenario.name = "y"


def test_the_template_loads_once_its_paths_exist(project):
    scenario = load_scenario(write(project, render_template()))
    assert scenario.name == "my-scenario"
    assert scenario.knowledge.changes.mode == "measured"
    assert scenario.limits.local_only
    (project / "my: docs").mkdir()
    odd = load_scenario(write(project, render_template(name="yes", corpus="my: docs", base="hub:a/b")))
    assert odd.name == "yes"
    assert odd.knowledge.corpus[0].path == project / "my: docs"


def test_the_template_shows_every_key():
    for model in (Scenario, *(f.annotation for f in Scenario.model_fields.values())):
        if model in (Scenario, *(Scenario.model_fields[n].annotation for n in ("task", "traffic", "limits", "models"))):
            for name, field in model.model_fields.items():
                assert f"{field.alias or name}:" in TEMPLATE


def test_commented_lines_of_the_template_are_valid_too(project):
    (project / "old/2024").mkdir()
    (project / "old/2025").mkdir()
    lines = []
    for line in render_template().splitlines():
        bare = line.lstrip(" #")
        is_option = line.lstrip().startswith("# ") and bare.partition(":")[0] in {
            *("at_least", "teacher", "memory", "disk", "latency_p95", "training_time", "money", "prompt", "system"),
            *("snapshots", "2024-07-01", "2025-07-01"),
        }
        lines.append(line.replace("# ", "", 1) if is_option else line)
    scenario = load_scenario(write(project, "\n".join(lines)))
    assert scenario.limits.disk == 500_000_000
    assert scenario.limits.money == 0
    assert len(scenario.knowledge.snapshots) == 2
    assert scenario.models.teacher
    assert "products" in scenario.template.system
