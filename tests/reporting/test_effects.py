import copy

import numpy as np
import pytest
from sweeping.planted import planted

from kistack.errors import InputError
from kistack.reporting.blocks import Bullets, Figure
from kistack.reporting.effects import effects_blocks, effects_of
from kistack.reporting.terminal import as_text
from kistack.sweeping.attribution import attribution
from kistack.sweeping.summary import sweep_document


def test_each_number_has_its_plot_and_table(sweep):
    page = effects_blocks(sweep)
    figures = [b for b in page if isinstance(b, Figure)]
    titles = ["Effects on quality (contained)", "Effects on latency", "Effects on time to build"]
    assert [f.title for f in figures] == titles
    assert figures[0].table.rows == (
        ("retrieve", "+41.0", "+36.5 to +45.2", "yes"),
        ("distill", "-0.9", "-2.0 to +0.4", "no difference shown"),
        ("retrieve x tune", "+12.0", "+6.0 to +18.0", "yes"),
    )
    assert figures[1].table.rows == (("quantize", "x0.59", "x0.56 to x0.62", "yes"),)
    assert figures[2].table.rows[0][1:] == ("+5.17 min", "-", "measured once")
    assert "less is better" in figures[1].svg
    assert page[-1] == Bullets(("two combinations failed",))
    assert "quantize" in as_text(page)


def test_what_a_sweep_writes_is_what_is_read():
    cells = {
        frozenset(): np.zeros(4),
        frozenset({"tune"}): np.array([0.0, 1, 1, 1]),
        frozenset({"retrieve"}): np.ones(4),
    }
    sizes = {"nothing": {"bytes": 100.0}, "tune": {"bytes": 110.0}, "retrieve": {"bytes": 300.0}}
    found = planted(cells, costs=sizes)
    assert effects_of(sweep_document(found)) == attribution(found)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(schema=2), "schema 2"),
        (lambda s: s["attribution"].update(effects=[]), "no effects"),
        (lambda s: s.pop("attribution"), "no attribution"),
        (lambda s: s["attribution"]["effects"][1].pop("ci95"), "effect 2 of the sweep cannot be read"),
        (lambda s: s["attribution"]["effects"][0].update(value="x"), "effect 1"),
        (lambda s: s["attribution"]["effects"][0].update(ci95=[1]), "effect 1"),
        (lambda s: s["attribution"]["effects"].append(3), "effect 6"),
    ],
)
def test_what_is_wrong_with_the_document_is_said(sweep, change, said):
    sweep = copy.deepcopy(sweep)
    change(sweep)
    with pytest.raises(InputError, match=said):
        effects_blocks(sweep)
