"""The plugin whose pins exclude ours, from making its environment to an answer: everything real."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import tinydesk

from kistack.bundle.opening import open_bundle
from kistack.bundle.workspace import Workspace
from kistack.domain.plan import Plan, Step
from kistack.plugins.host import load_host
from kistack.plugins.installing import contents, find

pytestmark = pytest.mark.system

PLAN = Plan(
    seed=3,
    steps=(
        Step(use="retrieve/llamaindex", **{"with": {"top_k": 2}}),
        Step(use="quantize/openvino", **{"with": {"kind": "int8", "tolerance": 0.5}}),
    ),
)


@pytest.fixture(scope="module")
def openvino(root):
    """The environment, made once for this checkout; made already it is taken as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KISTACK_ENVIRONMENTS", str(root / "build" / "environments"))
        done = subprocess.run(
            [sys.executable, "-m", "kistack", "plugins", "env", "create", "openvino", "--json"],
            capture_output=True, text=True, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "optimum-intel" in json.loads(done.stdout)["packages"]
        yield find(load_host(), "openvino").environment


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openvino")
    models = folder / "models"
    models.mkdir()
    return tinydesk.write_tiny_project(folder / "project", tinydesk.write_tiny_models(models))


@pytest.fixture(scope="module")
def record(openvino, project):
    place = Workspace.find(project)
    made = place.run(place.compose(PLAN))
    assert made.status == "done", made.error
    return made


def test_the_main_environment_has_none_of_it_and_that_one_none_of_ours(openvino):
    assert importlib.util.find_spec("openvino") is None
    assert importlib.util.find_spec("optimum") is None
    assert not {"peft", "llama-index-core", "kistack", "kistack-openvino"} & contents(openvino).keys()


def test_retrieval_here_and_quantization_there_make_one_run(record, openvino):
    assert [s.use for s in record.steps if s.use.split("/")[0] in {"retrieve", "quantize"}] == [
        "retrieve/llamaindex",
        "quantize/openvino",
    ]
    [step] = [s for s in record.steps if s.use == "quantize/openvino"]
    assert step.results["model.bytes"] > 0
    assert 0 <= step.results["model.kl"] < 0.5
    assert step.results["model.bits"] < 12
    assert record.environment["openvino/openvino"] == openvino.version("openvino")
    assert {"contained", "perplexity"} <= record.systems["plan"].metrics.keys()


def test_its_bundle_answers_and_streams_the_same(record):
    question = "Which colour has the bridge of Aar 1?"
    with open_bundle(record.bundle) as bundle:
        answer = bundle.ask(question, max_new_tokens=8)
        assert len(answer.passages) == 2
        passages, pieces = bundle.stream(question, max_new_tokens=8)
        assert "".join(pieces).strip() == answer.text.strip()
        assert passages == list(answer.passages)
    asked = subprocess.run(
        [sys.executable, "-m", "kistack", "ask", str(record.bundle), question],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr


def test_four_bits_take_less_than_eight(openvino, project, record):
    place = Workspace.find(project)
    steps = (Step(use="quantize/openvino", **{"with": {"kind": "int4", "group": 32, "tolerance": 2.0}}),)
    smaller = place.run(place.compose(Plan(steps=steps)))
    assert smaller.status == "done", smaller.error
    bits = {
        name: next(s.results["model.bits"] for s in r.steps if s.use == "quantize/openvino")
        for name, r in (("int8", record), ("int4", smaller))
    }
    assert bits["int4"] < bits["int8"]


def test_advice_judges_it_beside_the_other_quantizers(openvino, project):
    judged = Workspace.find(project).advise().candidates
    assert any(s.use == "quantize/openvino" for c in judged for s in c.plan.steps)
