import pytest
from shapes import LLAMA3, QWEN_1B5, SMALL

from kistack.domain.artifacts import Type
from kistack.plugins import costs


def test_tied_and_untied_vocabularies_are_told_from_the_shape():
    assert costs.untied_params(SMALL) == costs.untied_params(QWEN_1B5) == 0
    assert costs.untied_params(LLAMA3) == 128256 * 4096
    assert costs.untied_params(Type("model", facts={"params": 1e9})) == 0


def test_a_stated_tie_counts_more_than_the_shape():
    tied = Type("model", facts={**LLAMA3.facts, "tied": 1.0})
    assert costs.untied_params(tied) == 0


def test_layers_are_what_is_not_vocabulary():
    assert costs.layer_params(SMALL) == SMALL.fact("params") - 576 * 49152
    assert costs.layer_params(Type("model")) == 0


def test_an_mlp_without_a_gate_has_two_matrices():
    bert = costs.model_shape("BERT-base")
    assert "gate_proj" not in costs.layer_matrices(bert)
    # BERT, arXiv:1810.04805: 12 layers of 4 hidden² + 2 hidden · 3072
    assert costs.linear_params(bert) == 12 * (4 * 768**2 + 2 * 768 * 3072)


def test_a_decoder_beside_an_encoder_attends_twice():
    t0 = costs.model_shape("T0_3B")
    assert costs.depth(t0) == 24
    attention = 4 * 2048 * 32 * 64
    assert costs.linear_params(t0) == 24 * (3 * attention + 2 * 3 * 2048 * 5120)


@pytest.mark.parametrize("facts", [{"params": 8e9}, {**LLAMA3.facts, "params": 9e9}])
def test_a_shape_that_does_not_explain_the_parameters_is_not_used(facts):
    assert costs.is_shaped(LLAMA3)
    assert not costs.is_shaped(Type("model", facts=facts))
