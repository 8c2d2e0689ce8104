from dataclasses import replace

import pytest
from kistack_openvino.comparing import Drift
from kistack_openvino.places import OPENVINO
from kistack_openvino.probes import probes
from kistack_openvino.quantizer import FORMAT, OpenvinoQuantizer
from kistack_openvino.settings import QuantizerSettings
from pydantic import ValidationError

from kistack.domain.facts import declared
from kistack.errors import StepFailed
from kistack.plugins import costs

STAGE = OpenvinoQuantizer()
INT8, INT4 = QuantizerSettings(), QuantizerSettings(kind="int4")


@pytest.mark.parametrize("settings", [INT8, INT4])
def test_it_reads_unquantized_models_and_leaves_openvino_in_an_environment_of_its_own(settings):
    traits = STAGE.traits(settings)
    assert traits.environment == OPENVINO
    assert traits.consumes["model"].where == {"format": "hf", "precision": "fp32|fp16|bf16"}
    out = traits.produces["model"]
    assert (out.format, out.set) == (FORMAT, {"precision": settings.kind})
    assert costs.bits(settings.kind) < 16


@pytest.mark.parametrize("given", [{"kind": "int2"}, {"group": 48}, {"tolerance": -1}])
def test_settings_that_mean_nothing_are_refused(given):
    with pytest.raises(ValidationError):
        QuantizerSettings(**given)


def test_four_bits_take_about_half_of_eight_and_smaller_groups_more(smollm, profile):
    def size(settings):
        return STAGE.estimate(settings, profile, {"model": smollm}).facts["model"]["bytes"]

    # measured: 141.3 and 92.2 MB
    assert size(INT8) == pytest.approx(141.3e6, rel=0.01)
    assert size(INT4) == pytest.approx(92.15e6, rel=0.01)
    assert size(INT4.model_copy(update={"group": 32})) > size(INT4) > size(INT4.model_copy(update={"group": 128}))


def test_the_estimate_is_near_what_was_measured(smollm, profile):
    found = STAGE.estimate(INT4, profile, {"model": smollm})
    # measured: 5.10 bits a weight, 1.51 GB, 107 s beside other work of which 79 s of processor time on two cores
    assert found.facts["model"]["bits"] == pytest.approx(5.10, abs=0.02)
    assert found.cost("peak_bytes") == pytest.approx(1.51e9, rel=0.1)
    assert 79 / 2 < found.cost("seconds") < 107


def test_four_bits_cost_more_quality_and_more_so_for_small_models(smollm, profile):
    large = replace(smollm, facts={**smollm.facts, "params": 8e9})

    def effect(settings, model):
        return STAGE.estimate(settings, profile, {"model": model}).quality

    assert effect(INT4, smollm).points < effect(INT4, large).points < effect(INT8, large).points <= 0
    for settings in (INT8, INT4):
        found = effect(settings, smollm)
        assert found.low <= found.points <= found.high
        assert found.source


def test_suggestions_start_with_eight_bits_unless_memory_is_short(smollm, profile):
    assert STAGE.suggest(profile, {"model": smollm}) == [INT8]
    large = replace(smollm, facts={**smollm.facts, "params": 3e9})
    assert STAGE.suggest(profile, {"model": large}) == [INT8, INT4]
    tight = profile.updated({"scenario.limit_memory": declared(2e8, "test")})
    assert STAGE.suggest(tight, {"model": smollm}) == [INT4, INT8]


@pytest.mark.parametrize(
    ("settings", "kl", "remedy"),
    [
        (INT8, 0.06, "unquantized"),
        (INT4, 1.1, "int8"),
        (QuantizerSettings(tolerance=0.01), 0.02, "tolerance"),
        (INT8, float("nan"), "unquantized"),
    ],
)
def test_answers_that_changed_are_refused(settings, kl, remedy):
    with pytest.raises(StepFailed, match=f"{settings.kind} changes the answers") as caught:
        Drift(kl, 0.5, 10).judge(settings)
    assert remedy in caught.value.hint


def test_answers_that_stayed_are_not():
    Drift(0.04, 0.9, 10).judge(INT8)
    Drift(0.06, 0.9, 10).judge(QuantizerSettings(tolerance=0.1))


def test_probes_hold_chats_with_and_without_passages():
    texts = [chat[-1]["content"] for chat in probes()]
    assert len(set(texts)) == 6
    assert sum("08:15" in t for t in texts) == 2
