import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor import effects
from kistack.advisor.effects import EffectTable, Observation, StudiedEffect, cites, effect_table
from kistack.errors import KistackError


def test_every_figure_lies_in_its_interval_and_names_its_source():
    table = effect_table()
    assert len(table.priors) > 15
    for prior in table.priors.values():
        assert prior.low <= prior.value <= prior.high, prior.name
        assert prior.low < prior.high, prior.name
        assert prior.sources, prior.name
        assert len(prior.about) > 20, prior.name


def test_loss_falls_as_bits_rise():
    steps = effect_table().loss_by_bits
    assert [b for b, _ in steps] == sorted(b for b, _ in steps)
    losses = [loss for _, loss in steps]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == 0


def test_the_table_is_read_once():
    assert effect_table() is effect_table()


def studied(*values, assumed=(0.2, 0.1, 0.5)):
    seen = tuple(Observation(v, 0.05, f"paper {n}, arXiv:2401.0000{n}") for n, v in enumerate(values))
    return StudiedEffect("one", "rests on these papers", assumed, seen)


def test_without_studies_an_effect_is_what_is_assumed():
    found = studied().fitted()
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.1, 0.4))
    assert found.sources == ("assumed: nothing published was found",)


def test_studies_move_an_effect_and_what_they_disagree_by_widens_it():
    wide = (0.5, -1.0, 2.0)
    agreeing, apart = (studied(*v, assumed=wide).fitted() for v in ((0.3, 0.31, 0.29), (-0.9, 0.3, 1.9)))
    assert agreeing.value == pytest.approx(0.3, abs=0.02)
    assert agreeing.high - agreeing.low == pytest.approx(3.0, abs=0.4)
    assert apart.high - apart.low >= agreeing.high - agreeing.low


@given(st.lists(st.floats(-1, 1), max_size=6))
def test_a_fitted_effect_stays_within_what_is_assumed_possible(values):
    found = studied(*values).fitted()
    assert 0.1 <= found.low <= found.value <= found.high <= 0.5


def test_leaving_a_paper_out_is_fitting_again_without_its_values():
    effect = studied(0.3, 0.45)
    table = EffectTable({"one": effect.fitted()}, (), {"one": effect})
    left = table.without(lambda source: cites(source, "Someone 2401.00001"))
    assert left.priors["one"] == studied(0.3).fitted()
    assert table.without(lambda source: False).priors == table.priors


@pytest.mark.parametrize(
    ("source", "paper", "same"),
    [
        ("Ovadia et al. 2024, arXiv:2312.05934 (0.481 to 0.504)", "Ovadia et al. 2312.05934", True),
        ("Ovadia et al. 2024, arXiv:2312.05934", "Soudani et al. 2403.01432", False),
        ("OpenAI, Optimizing LLM accuracy (BLEU 87 to 83)", "OpenAI Optimizing LLM accuracy guide", True),
        ("llama.cpp, tools/perplexity README (Q2_K)", "llama.cpp perplexity README", True),
        ("llama.cpp, tools/quantize README", "llama.cpp perplexity README", False),
        ("torchao QAT README (76.6 to 70.66)", "torchao QAT README", True),
        ("Qwen2.5 speed benchmark", "Qwen2 quantization benchmark", False),
    ],
)
def test_a_source_names_a_paper_by_number_or_by_words(source, paper, same):
    assert cites(source, paper) == same


def test_a_damaged_table_is_an_error_of_the_installation(monkeypatch):
    def broken(*args, **kwargs):
        return {"effects": {"one": {"value": "many"}}}

    effect_table.cache_clear()
    monkeypatch.setattr(yaml, "load", broken)
    with pytest.raises(KistackError, match="damaged"):
        effects.effect_table()
    monkeypatch.undo()
    effect_table.cache_clear()
    assert effect_table().priors
