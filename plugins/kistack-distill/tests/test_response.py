import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_distill.response import ResponseDistiller, choose_epochs, student_type
from kistack_distill.settings import ResponseSettings, TopKSettings
from kistack_distill.signals import TopKSignals
from pydantic import ValidationError

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile, measured

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
        "bytes": 272e6,
    },
)
MACHINE = Profile(
    {
        "hardware.cores": measured(2, "counted"),
        "hardware.flops_fp32": measured(400e9, "timed"),
        "hardware.flops_bf16": measured(820e9, "timed"),
    }
)


def _inputs(count=360, tokens=200):
    facts = {"count": count, "prompt_tokens": tokens - 10, "answer_tokens": 10}
    return {"teacher": SMOL, "pairs": Type("pairs", "jsonl", {"passages": "with"}, facts)}


def test_registering_and_estimating_needs_no_torch():
    code = """
import sys
import kistack_distill.hooks as h
from kistack.domain.facts import Profile
from kistack.domain.artifacts import Type
for stage in [c() for c in [*h.kistack_register_distillers(), *h.kistack_register_stages()]]:
    inputs = {"teacher": Type("model", "hf", {}, {"params": 1e6, "vocab": 10}), "pairs": Type("pairs")}
    settings = stage.resolve(stage.suggest(Profile({}), inputs)[0], Profile({}), inputs)
    stage.traits(settings)
    assert all(f["bytes"] > 0 for f in stage.estimate(settings, Profile({}), inputs).facts.values())
heavy = {"torch", "transformers", "safetensors"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_student_of_layers_begins_a_new_line():
    traits = ResponseDistiller().traits(ResponseSettings())
    assert set(traits.consumes) == {"teacher", "pairs", "signals"}
    assert traits.consumes["teacher"].default == "model"
    assert traits.consumes["pairs"].prefer == {"passages": "with"}
    out = traits.produces["model"]
    assert (out.like, out.fresh, out.format, out.set["precision"]) == ("teacher", True, "hf", "bf16")
    assert not traits.agree
    assert traits.needs[0].at_least == 32


def test_a_given_student_must_share_the_vocabulary():
    traits = ResponseDistiller().traits(ResponseSettings(student="given"))
    assert traits.agree == (("model", "teacher", "vocabulary"),)
    assert traits.produces["model"].like == "model"


def test_signals_are_recorded_from_the_same_ports():
    traits = TopKSignals().traits(TopKSettings())
    assert traits.auto
    assert set(traits.consumes) == {"teacher", "pairs"}
    assert traits.produces["signals"].kind == "signals"
    assert not traits.produces["signals"].like


def test_nothing_is_left_open_before_hashing():
    settled = ResponseDistiller().resolve(ResponseSettings(), MACHINE, _inputs(500))
    assert (settled.dtype, settled.epochs) == ("bf16", 2)
    assert TopKSignals().resolve(TopKSettings(), Profile({}), _inputs()).dtype == "fp32"


@given(st.integers(1, 10**6))
def test_epochs_fall_with_the_number_of_pairs(count):
    assert 1 <= choose_epochs(count + 1) <= choose_epochs(count) <= 8


def test_the_students_numbers_are_exact():
    student = student_type(ResponseSettings(), _inputs())
    assert student.facts["layers"] == 15
    assert student.facts["params"] == pytest.approx(81_413_568, rel=1e-4)  # as counted by torch


def test_the_estimates_grow_with_the_work():
    distiller, recorder = ResponseDistiller(), TopKSignals()

    def ask(settings=ResponseSettings(), inputs=None):  # noqa: B008 - frozen
        return distiller.estimate(settings, MACHINE, inputs or _inputs())

    plain = ask()
    assert 100 < plain.cost("seconds") < 900
    assert 2e9 < plain.cost("peak_bytes") < 9e9
    assert plain.facts["model"]["bytes"] == pytest.approx(166e6, rel=0.03)
    assert ask(ResponseSettings(keep_every=3)).cost("seconds") < plain.cost("seconds")
    assert ask(ResponseSettings(epochs=8)).cost("seconds") > 2 * plain.cost("seconds")
    assert ask(ResponseSettings(student="given"), {**_inputs(), "model": SMOL}).facts["model"]["layers"] == 30
    recorded = recorder.estimate(TopKSettings(), MACHINE, _inputs())
    assert 30 < recorded.cost("seconds") < 300
    assert recorded.facts["signals"]["bytes"] == pytest.approx(72000 * 396)
    assert recorder.estimate(TopKSettings(k=8), MACHINE, _inputs()).facts["signals"]["bytes"] < 10e6


@pytest.mark.parametrize("layers", [4, 30])
def test_suggestions_are_few_and_different(layers):
    inputs = {**_inputs(), "teacher": Type("model", "hf", {}, {**SMOL.facts, "layers": layers})}
    suggested = ResponseDistiller().suggest(MACHINE, inputs)
    assert len(suggested) == (2 if layers == 30 else 1)
    assert len(set(map(repr, suggested))) == len(suggested)


@pytest.mark.parametrize("bad", [{"alpha": 1.5}, {"temperature": 0}, {"epochs": 0}, {"keep_every": 1}, {"x": 1}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValidationError):
        ResponseSettings(**bad)
