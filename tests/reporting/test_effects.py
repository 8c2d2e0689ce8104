import copy

import pytest

from kistack.errors import InputError
from kistack.reporting.blocks import Figure
from kistack.reporting.effects import effects_blocks
from kistack.reporting.terminal import as_text


def test_each_number_has_its_plot_and_table(sweep):
    page = effects_blocks(sweep)
    figures = [b for b in page if isinstance(b, Figure)]
    assert [f.title for f in figures] == ["Effects on points (contained)", "Effects on latency_p50"]
    assert figures[0].table.rows == (
        ("retrieve", "+41 points", "+36.5 points to +45.2 points", "yes"),
        ("distill", "-0.9 points", "-2 points to +0.4 points", "no difference shown"),
        ("retrieve x tune", "+12 points", "+6 points to +18 points", "yes"),
    )
    assert "less is better" in figures[1].svg
    assert "quantize" in as_text(page)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(schema=2), "schema 2"),
        (lambda s: s.update(effects=[]), "no effects"),
        (lambda s: s.pop("numbers"), "no numbers"),
        (lambda s: s["effects"][1].pop("low"), "effect 2 of the sweep lacks low"),
        (lambda s: s["effects"][0].update(number="x"), "no number"),
        (lambda s: s["effects"][0].update(high="x"), "end that is no number"),
        (lambda s: s["effects"].append(3), "effect 5"),
    ],
)
def test_what_is_wrong_with_the_document_is_said(sweep, change, said):
    sweep = copy.deepcopy(sweep)
    change(sweep)
    with pytest.raises(InputError, match=said):
        effects_blocks(sweep)
