import subprocess
import sys

import pytest
from kistack_torch import estimates

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured
from kistack.plugins import costs

HERE = costs.Machine()
SMOL = Type(
    "model",
    "hf",
    {"precision": "bf16"},
    {
        "params": 134_515_008,
        "layers": 30,
        "hidden": 576,
        "heads": 9,
        "kv_heads": 3,
        "head_dim": 64,
        "ffn": 1536,
        "vocab": 49152,
    },
)


def test_it_is_light():
    code = "import sys, kistack_torch.estimates; assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_nobody_counted_is_assumed():
    assert estimates.pair_count(Profile({}), {}) == 300
    assert estimates.pair_count(Profile({"pairs.train": measured(77, "")}), {"pairs": Type("pairs")}) == 77
    assert estimates.pair_tokens({"pairs": Type("pairs", facts={"prompt_tokens": 90, "answer_tokens": 5})}) == 95
    assert estimates.pair_tokens({}) == 200


def test_the_number_format_follows_the_machine():
    native = Profile({"hardware.flops_fp32": measured(4e11, ""), "hardware.flops_bf16": measured(8e11, "")})
    assert estimates.chosen_dtype("auto", native) == "bf16"
    assert estimates.chosen_dtype("auto", native.updated({"hardware.flops_bf16": measured(1e11, "")})) == "fp32"
    assert estimates.chosen_dtype("fp32", native) == "fp32"


@pytest.mark.parametrize(("count", "epochs"), [(0, 2), (10, 8), (100, 6), (300, 2), (5000, 1)])
def test_few_pairs_are_seen_more_often(count, epochs):
    assert estimates.epochs_for(count, 600, 8) == epochs


def _adapter(here=HERE, **changes):
    given = {"batch": 8, "budget": 2048, "length": 211, "looked_at": 0.04, "dtype": "bf16", **changes}
    return estimates.training_bytes(SMOL, 2.4e6, here, **given)


def test_memory_is_near_what_was_measured():
    assert _adapter() == pytest.approx(4.76e9, rel=0.1)
    student = Type("model", "hf", {}, {**SMOL.facts, "layers": 15, "params": 81_413_568})
    given = {"batch": 8, "budget": 2048, "length": 151, "looked_at": 1.0, "dtype": "bf16"}
    whole = estimates.training_bytes(student, 81_413_568, HERE, **given)
    assert whole == pytest.approx(4.28e9, rel=0.1)


def test_neither_what_python_holds_nor_attention_weights_are_on_a_gpu():
    longer = {"length": 600}  # where a processor keeps no attention weights either
    assert _adapter(**longer) - _adapter(costs.Machine(gpus=1), **longer) == costs.WORKER_BYTES
    assert _adapter() - _adapter(costs.Machine(gpus=1)) > 2 * costs.WORKER_BYTES


def test_memory_grows_with_the_work():
    assert _adapter(budget=4096, batch=16) > 1.6 * _adapter()
    assert _adapter(dtype="fp32") > 1.3 * _adapter()
    assert _adapter(recompute=True) < 0.5 * _adapter()
    assert _adapter(looked_at=1.0) > _adapter()
    assert _adapter(length=50) < 0.5 * _adapter()


def test_a_training_goes_there_and_back_once_for_each_part_of_a_batch_that_fits():
    assert estimates.micro_batches(400, 1, 301, batch=8, budget=2048) == 100
    assert estimates.micro_batches(401, 2, 200, batch=8, budget=2048) == 2 * 51
