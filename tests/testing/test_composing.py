"""What traits exclude is offered to the composer."""

import toys

from kistack.testing.composing import refusals
from kistack.testing.owners import find_plugin
from kistack.testing.subject import Subject


def refused(stage, tmp_path, **inputs):
    return refusals(Subject(stage, find_plugin("", toys), tmp_path, inputs=inputs))


def test_every_exclusion_of_the_toys_is_refused(tmp_path, tiny_model):
    from dataclasses import replace

    toy = replace(tiny_model, format="toy")
    said = refused(toys.ToyTune(), tmp_path, model=toy)
    assert set(said) == {
        "model with another format",
        "model with another precision",
        "pairs with count below 2",
        "coming after quantize/*",
    }
    assert all(said.values())
    assert "must come before quantize/other" in said["coming after quantize/*"]
