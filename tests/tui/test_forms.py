"""Forms from settings: every kind of field, shown, read back and refused."""

import enum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from kistack.plugins.stages import Settings
from kistack.tui.forms import form_of, show
from kistack.tui.plan_editing import fault_of


class Mode(enum.StrEnum):
    fast = "fast"
    slow = "slow"


class Wide(Settings):
    rank: int = Field(default=16, ge=1, le=512, description="rank of the update")
    rate: float = Field(default=5e-4, gt=0, le=1)
    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(default="auto")
    dtype: Literal["auto", "bf16"] = "auto"
    mode: Mode = Mode.fast
    recompute: bool = False
    targets: tuple[str, ...] = ("a", "b")
    sizes: list[int] = Field(default_factory=lambda: [1, 2], max_length=3)
    note: str | None = None
    table: dict[str, int] = Field(default_factory=dict)
    even: int = Field(default=2, multiple_of=2)
    name: str = Field(title="Its name", min_length=2)


def form(**values):
    return {f.name: f for f in form_of(Wide, values)}


def test_each_kind_of_field_has_its_control():
    controls = {n: f.control for n, f in form().items()}
    assert controls["recompute"] == "switch"
    assert controls["dtype"] == controls["mode"] == "select"
    assert controls["rank"] == controls["epochs"] == controls["targets"] == "text"
    assert form()["mode"].choices == ("fast", "slow")


def test_help_range_and_default_are_shown():
    fields = form()
    assert fields["rank"].note == "rank of the update · 1 to 512 · default 16"
    assert fields["rate"].range == "above 0, at most 1"
    assert fields["epochs"].range == "1 to 1000, or auto"
    assert fields["sizes"].range == "at most 3 long, separated by commas"
    assert fields["even"].range == "in steps of 2"
    assert fields["name"].note == "at least 2 long · required"
    assert fields["name"].label == "Its name"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rank", "8", 8),
        ("rank", "x", "x"),
        ("rate", "1e-3", 1e-3),
        ("epochs", "auto", "auto"),
        ("epochs", "7", 7),
        ("dtype", "bf16", "bf16"),
        ("mode", "slow", "slow"),
        ("recompute", "yes", True),
        ("targets", "a, c,", ["a", "c"]),
        ("sizes", "3,4", [3, 4]),
        ("note", "", None),
        ("note", "12", "12"),
        ("table", "{a: 1}", {"a": 1}),
        ("table", "{a", "{a"),
    ],
)
def test_texts_are_read(name, text, value):
    assert form()[name].read(text) == value


def test_a_refused_value_has_a_message_of_its_own():
    assert "less than or equal to 512" in fault_of(Wide, {"rank": 600, "name": "ab"}, "rank")
    assert fault_of(Wide, {"rank": 6}, "rank") == ""
    assert "required" in fault_of(Wide, {"rank": 6}, "name")


@given(
    st.fixed_dictionaries(
        {
            "rank": st.integers(1, 512),
            "rate": st.floats(1e-6, 1),
            "epochs": st.one_of(st.just("auto"), st.integers(1, 1000)),
            "dtype": st.sampled_from(["auto", "bf16"]),
            "recompute": st.booleans(),
            "targets": st.lists(st.sampled_from(["q", "k", "v"]), max_size=3),
            "sizes": st.lists(st.integers(0, 9), max_size=3),
            "table": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9)),
            "name": st.sampled_from(["ab", "abc"]),
        }
    )
)
def test_what_is_shown_reads_back(values):
    shown = {n: f.read(show(values[n])) for n, f in form(**values).items() if n in values}
    assert Wide(**shown) == Wide(**values)
