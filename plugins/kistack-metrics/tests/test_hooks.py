import subprocess
import sys

import pytest
import toys
from facts import small_profile
from kistack_metrics import hooks

from kistack.composition.composer import compose
from kistack.domain.plan import Plan
from kistack.plugins.host import load_host

STAGES = hooks.kistack_register_evaluators()


@pytest.mark.speed
def test_importing_the_hooks_loads_nothing_heavy():
    code = (
        "import sys, kistack.plugins.stages, kistack.plugins.hookspecs, time; start = time.perf_counter();"
        "import kistack_metrics.hooks; assert time.perf_counter() - start < 0.5;"
        "heavy = {'numpy', 'sacrebleu', 'rouge_score', 'nltk', 'torch', 'scipy', 'jsonschema', 'urllib.request'};"
        "heavy &= set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("stage", STAGES)
def test_every_evaluator_says_what_it_reads_and_leaves_scores(stage):
    made = stage()
    traits = made.traits(made.Settings())
    assert made.name.startswith("evaluate/")
    assert made.summary
    assert list(traits.produces) == ["scores"]
    assert all(port.hint or port.optional for port in traits.consumes.values())
    assert all(field.description for field in made.Settings.model_fields.values())


NAMED = {"evaluate/format", "evaluate/entailment", "evaluate/judge"}


def test_what_costs_asks_or_sends_runs_only_where_a_plan_names_it():
    host = load_host(entry_points=False, extra={"toys": toys, "metrics": hooks})
    assert host.problems == ()
    default = compose(Plan(), small_profile(), host).systems["baseline"]
    assert not NAMED & set(default.scores)
    assert {"evaluate/answers", "evaluate/faithfulness", "evaluate/abstention"} <= set(default.scores)
    entailment = {"use": "evaluate/entailment", "with": {"batch": 4}, "from": {"judge": "model"}}
    pipeline = compose(Plan(evaluate=("evaluate/answers", entailment)), small_profile(), host)
    assert set(pipeline.systems["baseline"].scores) == {"evaluate/answers", "evaluate/entailment"}
    node = next(n for n in pipeline.nodes if n.label == "evaluate/entailment")
    assert node.openers["judge"].stage == "runtime/toy"
    assert node.settings.batch == 4
