import subprocess
import sys

import pytest
from kistack_metrics import hooks

STAGES = hooks.kistack_register_evaluators()


def test_importing_the_hooks_loads_nothing_heavy():
    code = (
        "import sys, kistack.plugins.stages, kistack.plugins.hookspecs, time; start = time.perf_counter();"
        "import kistack_metrics.hooks; assert time.perf_counter() - start < 0.5;"
        "heavy = {'numpy', 'sacrebleu', 'rouge_score', 'nltk', 'torch', 'scipy'} & set(sys.modules);"
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
