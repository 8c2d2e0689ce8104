"""The probe from the command line, beside what deciding costs, and on a real model of tiny size."""

import json
import subprocess
import sys

import pytest
import tinydesk

import kistack
from kistack.bundle.workspace import Workspace

CODE = """
import sys
from kistack.cli import main
code = main.run(["--quiet", "advise", "-C", sys.argv[1], "--json"])
heavy = {"torch", "transformers", "peft", "llama_index", "lancedb", "sklearn", "gguf", "xllamacpp", "numpy"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
sys.exit(code)
"""


def test_profile_and_advise_probe_once_and_show_the_shares(command):
    code, text, told = command("profile", "--probe", "--probe-pairs", "3", "--brief")
    assert code == 0
    assert told.index("probing 3 of 8 training pairs") < told.index("answer/items")
    assert "What the base model answers of them" in text
    assert "closed_book" in text
    code, text, told = command("advise", "--probe", "--probe-pairs", "3")
    assert code == 0
    assert "the probe of" in told
    assert "stands" in told
    assert "Run " in text
    assert "gold passage" in text
    code, text, _ = command("advise", "--probe", "--probe-pairs", "2", "--json")
    assert json.loads(text)["probe"]["pairs"] == 3
    code, text, _ = command("profile", "--json")
    assert json.loads(text)["facts"]["probe.pairs"]["value"] == 3


def test_a_profile_without_a_probe_says_how_to_make_one(command):
    _, text, _ = command("profile", "--json")
    fact = json.loads(text)["facts"]["probe.pairs"]
    assert fact["value"] == 0
    assert "nothing was probed yet" in fact["why"]


@pytest.mark.parametrize("arguments", [("profile", "--probe"), ("advise", "--probe")])
def test_no_pairs_is_one_line_and_a_remedy(command, toy_project, arguments):
    path = toy_project / "kistack.yaml"
    path.write_text(path.read_text().replace("  pairs: pairs.jsonl\n", ""))
    code, text, told = command(*arguments)
    assert code == 2
    assert text == ""
    assert "nothing can be probed: the scenario names no labelled pairs" in told
    assert "hint: name question-answer pairs under knowledge.pairs" in told
    assert "Traceback" not in told


def test_no_pair_is_no_number_of_pairs(command):
    code, _, told = command("profile", "--probe", "--probe-pairs", "0")
    assert code == 2
    assert "--probe-pairs" in told


def test_advice_after_a_probe_imports_nothing_heavy(toy_project, toy_environment):
    probe = [sys.executable, "-m", "kistack", "--quiet", "profile", "--probe", "-C", str(toy_project)]
    subprocess.run(probe, check=True, capture_output=True, env=toy_environment)
    advise = [sys.executable, "-c", CODE, str(toy_project)]
    done = subprocess.run(advise, check=False, capture_output=True, text=True, env=toy_environment)
    assert done.returncode == 0, done.stderr
    reasons = [r["because"] for c in json.loads(done.stdout)["candidates"] for r in c["reasons"]]
    assert any("(probed)" in r for r in reasons)


@pytest.mark.system
def test_a_real_model_is_probed(tmp_path, tiny_models, one_core):
    root = tinydesk.write_tiny_project(tmp_path / "desk", tiny_models)
    rows = [json.loads(line) for line in (root / "pairs.jsonl").read_text().splitlines()]
    # Every way of asking starts the model once more, which is most of the time: two of the three do here.
    (root / "pairs.jsonl").write_text("".join(json.dumps({**r, "gold": []}) + "\n" for r in rows))
    scenario = kistack.load_scenario(root / "kistack.yaml")
    found = kistack.probe(scenario, 6)
    assert set(found.shares) == {"closed_book", "retrieved", "recall"}
    assert {s.count for s in found.shares.values()} == {6}
    assert found.shares["recall"].value > 0
    assert (found.retriever, found.available) == ("retrieve/llamaindex", 72)
    assert kistack.profile(scenario).number("probe.pairs") == 6
    assert Workspace.find(root).profile().section("probe") == kistack.profile(scenario).section("probe")
