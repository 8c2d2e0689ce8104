"""A plugin with an environment of its own, from what is told where it is missing to a bundle that answers."""

import dataclasses
import json
import os

import apart
import pytest
import toys
from commanding import commands
from isolated import fake_pip

from kistack.advisor.candidates import options
from kistack.bundle.diagnosis import diagnose
from kistack.bundle.opening import open_bundle
from kistack.bundle.profilers import refine
from kistack.bundle.workspace import Workspace
from kistack.cli import assets, isolating
from kistack.composition.keys import library_version
from kistack.domain.artifacts import Artifact
from kistack.domain.facts import measured
from kistack.domain.plan import Plan, Step
from kistack.errors import InputError, PlanError, StepFailed
from kistack.plugins import installing
from kistack.plugins.host import load_host
from kistack.plugins.installing import create, remove
from kistack.profiling.cache import Cache
from kistack.reporting.doctor import doctor_page
from kistack.reporting.markdown import render
from kistack.testing import ConformanceError, check_stage

#: Each makes an environment, or runs plans in workers of one: seconds a test.
pytestmark = pytest.mark.system
REMEDY = "kistack plugins env create apart"
PLAN = Plan(steps=(Step(use="retrieve/toy"), Step(use="quantize/apart")))


@pytest.fixture
def host():
    return load_host(entry_points=False, extra={"toys": toys, "apart": apart})


@pytest.fixture
def place(toy_project, host, environments):
    return Workspace.find(toy_project, host=host)


@pytest.fixture
def pip(tmp_path):
    return fake_pip(tmp_path / "pip")


@pytest.fixture
def made(pip, environments):
    create(apart.APART, ["apart"], pip=pip)
    return apart.APART


def test_where_it_is_missing_a_plan_is_refused_with_the_command_that_makes_it(place):
    with pytest.raises(PlanError) as caught:
        place.compose(PLAN)
    [problem] = caught.value.problems
    assert "quantize/apart needs its environment 'apart', which is not made yet" in problem.message
    assert problem.hint == REMEDY
    assert not apart.APART.folder.parent.exists()


def test_where_it_is_missing_advice_leaves_it_out_and_says_so(place, made):
    notes = []

    def judged():
        return {step.use for step in options(place.profile(), place.host, notes)["quantize"]}

    assert judged() == {"quantize/toy", "quantize/apart"}
    assert not any("apart" in n for n in notes)
    remove("apart")
    assert judged() == {"quantize/toy"}
    assert f"quantize/apart was not judged: it needs its environment: {REMEDY}" in notes


def test_where_it_is_missing_the_doctor_says_so_and_calls_nothing_broken(place, host):
    found = diagnose(place.project.root, host)
    assert f"quantize/apart needs its environment: {REMEDY}" in found.notes
    assert not any("apart" in line for line in found.broken)
    assert found.environments[0]["state"] == f"not made: {REMEDY}"
    assert REMEDY in render(doctor_page(found))


def test_its_stages_run_there_and_their_sessions_are_asked_from_here(place, made, host):
    record = place.run(place.compose(PLAN))
    assert record.status == "done", record.error
    with open_bundle(record.bundle, host=host) as bundle:
        part = bundle.manifest.artifact(bundle.manifest.models["model"], bundle.folder)
        model = json.loads((part.path / toys.MODEL_FILE).read_text())
        assert model["made_in"] == str(made.folder)
        # The index lies here, and was asked from there.
        assert len(model["found"]) == 2
        assert bundle.ask("What is the latest release of Product9").text == "unknown"
        assert bundle.streams()
        _, pieces = bundle.stream("x", max_new_tokens=3)
        assert list(pieces) == ["0 ", "1 ", "2 "]
        [there] = bundle._models.values()
        assert there.generate([[{"role": "user", "content": "where"}]], max_new_tokens=1)
        [told] = there.generate([[{"role": "user", "content": "Question: where"}]], max_new_tokens=1)
        assert told.text == str(made.folder)
    assert record.systems["plan"].metrics["contained"].value == 0
    assert record.environment["apart/pydantic"] == made.version("pydantic")


def test_what_dies_while_a_bundle_is_asked_is_told_with_its_last_words(place, made, host):
    record = place.run(place.compose(PLAN))
    with open_bundle(record.bundle, host=host) as bundle:
        bundle.load()
        [there] = bundle._models.values()
        with pytest.raises(StepFailed, match="ended with status 7") as caught:
            there.generate([[{"role": "user", "content": "vanish"}]], max_new_tokens=1)
        assert caught.value.hint == "its last words: the library gave up"


def test_a_bundle_whose_environment_was_removed_says_how_to_make_it(place, made, host):
    record = place.run(place.compose(PLAN))
    remove("apart")
    with open_bundle(record.bundle, host=host) as bundle, pytest.raises(InputError, match="runtime/apart") as caught:
        bundle.ask("Which?")
    assert caught.value.hint == REMEDY


def test_versions_that_key_a_result_are_those_of_the_environment(made):
    assert library_version("pydantic", made) == library_version("pydantic")
    assert library_version("pytest")
    assert library_version("pytest", made) == ""


def test_a_profiler_measures_there(made, host, tmp_path):
    said = []
    facts = {"fingerprint": measured("abc", "test")}
    cache = Cache(tmp_path / "cache")
    found = refine(host, facts, cache, shared=cache, notify=said.append)
    assert found["apart"].value == 1.0, said
    remove("apart")
    refine(host, facts, cache, shared=cache, refresh=True, notify=said.append)
    assert any("needs its environment 'apart'" in line for line in said)


def test_the_contract_is_tried_there(made, tmp_path):
    model = {"params": 10, "reads": True, "knows": {}}
    toys.write_model(tmp_path, model)
    toy = Artifact("model", "toy", tmp_path, "", "k", {"precision": "fp32"}, {"params": 10.0, "bytes": 50.0})
    written = ("environment", "packages", "versioned", "runs", "same-again", "outputs-as-declared")
    report = check_stage(apart.ApartQuantize, plugin="apart", inputs={"model": toy}, only=written)
    assert [r.status for r in report.results] == ["passed"] * len(written)
    opened = ("environment", "opens", "gives-what-it-says", "answers-each")
    there = dataclasses.replace(toy, format="toy-apart")
    report = check_stage(apart.ApartRuntime, plugin="apart", inputs={"model": there}, only=opened)
    assert [r.status for r in report.results] == ["passed"] * len(opened)


def test_the_contract_asks_for_the_environment_once(environments):
    with pytest.raises(ConformanceError) as caught:
        check_stage(apart.ApartRuntime, plugin="apart", only=("environment", "packages", "versioned", "opens"))
    [fault] = caught.value.report.of("failed")
    assert (fault.check.name, fault.remedy) == ("environment", REMEDY)


# --- the commands


@pytest.fixture
def kistack_command(monkeypatch, capsys, host, pip, environments):
    for module in (assets, isolating):
        monkeypatch.setattr(module, "host", lambda: host)
    monkeypatch.setattr(installing, "PIP", pip)
    with commands(capsys) as call:
        yield call


def test_list_create_remove(kistack_command, environments):
    code, out, _ = kistack_command("plugins", "env", "list", "--json")
    [row] = json.loads(out)["environments"]
    assert (code, row["name"], row["ready"], row["remedy"]) == (0, "apart", False, REMEDY)
    assert row["stages"] == ["profile/apart", "quantize/apart", "runtime/apart"]
    code, out, _ = kistack_command("plugins", "list")
    assert f"quantize/apart needs its environment: {REMEDY}" in " ".join(out.split())
    assert not environments.exists()

    code, out, err = kistack_command("plugins", "env", "create", "apart")
    assert code == 0
    assert "Environment apart is ready" in out
    assert "Collecting everything" in err
    code, out, _ = kistack_command("plugins", "env", "create", "apart", "--json")
    assert (code, json.loads(out)["made"]) == (0, False)
    assert json.loads(kistack_command("plugins", "list", "--json")[1])["unready"] == {}
    code, out, _ = kistack_command("plugins", "env", "list")
    assert "ready" in out

    os.utime(apart.APART.lock)
    code, out, _ = kistack_command("plugins", "env", "remove", "apart", "--json")
    assert (code, len(json.loads(out)["removed"])) == (0, 1)
    code, _, err = kistack_command("plugins", "env", "remove", "apart")
    assert (code, "there is no environment 'apart'" in err) == (2, True)


def test_a_name_that_nobody_declares_is_wrong_input(kistack_command):
    code, _, err = kistack_command("plugins", "env", "create", "other")
    assert code == 2
    assert "no installed plugin has an environment 'other'" in err
    assert "environments: apart" in err
