import pytest
import yaml

from kistack.advisor import effects
from kistack.advisor.effects import EffectTable, Prior, effect_table
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


def test_without_a_paper_what_only_it_supports_is_widened():
    one = Prior("one", 0.2, 0.1, 0.5, "rests on one paper", ("A 2024",))
    two = Prior("two", 0.2, 0.1, 0.5, "rests on two papers", ("A 2024", "B 2023"))
    table = EffectTable({"one": one, "two": two}, ())
    left = table.without("A 2024").priors
    assert left["two"] == two
    assert left["one"].high - left["one"].low > one.high - one.low
    assert left["one"].value == pytest.approx(0.3)
    assert table.without("C").priors == table.priors


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
