import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.domain.scenario_template import render_template
from kistack.domain.yamledit import edited
from kistack.errors import InputError

TEMPLATE = render_template()


def changed_lines(before, after):
    one, two = before.splitlines(), after.splitlines()
    return [line for line in two if line not in one], [line for line in one if line not in two]


def test_a_value_is_replaced_where_it_stands_and_its_comment_keeps_its_column():
    new, old = changed_lines(TEMPLATE, edited(TEMPLATE, {("horizon",): "30d"}))
    assert new == ["horizon: 30d             # how long the result is to serve"]
    assert old == ["horizon: 90d             # how long the result is to serve"]


def test_a_new_key_stands_below_the_comment_that_shows_it():
    text = edited(TEMPLATE, {("limits", "memory"): "2GiB"})
    lines = text.splitlines()
    at = lines.index("  memory: 2GiB")
    assert lines[at - 1].startswith("  # memory: 2GiB")
    assert changed_lines(TEMPLATE, text) == (["  memory: 2GiB"], [])


def test_a_new_section_goes_to_the_end_or_below_its_comment():
    text = edited("name: x\n# last words\n", {("limits", "disk"): "1GB"})
    assert yaml.safe_load(text) == {"name": "x", "limits": {"disk": "1GB"}}
    assert "# last words" in text


def test_flow_mappings_stay_flow_mappings():
    text = edited("limits: {memory: 4GB, local_only: yes}  # tight\n", {("limits", "disk"): "1GB"})
    assert text == "limits: {memory: 4GB, local_only: yes, disk: 1GB}  # tight\n"
    assert edited(text, {("limits", "memory"): None}) == "limits: {local_only: yes, disk: 1GB}  # tight\n"
    assert edited(text, {("limits", "disk"): None}) == "limits: {memory: 4GB, local_only: yes}  # tight\n"


def test_the_only_key_of_a_section_becomes_null_so_that_comments_stay():
    text = "limits:\n  # nothing much\n  memory: 2GiB  # why\n"
    assert edited(text, {("limits", "memory"): None}) == "limits:\n  # nothing much\n  memory: null  # why\n"


def test_a_plain_value_becomes_a_mapping_where_something_under_it_is_stated():
    assert edited("serve_on: this\n", {("serve_on",): {"preset": "raspberry-pi-5", "ram_free": "4GiB"}}) == (
        "serve_on: {preset: raspberry-pi-5, ram_free: 4GiB}\n"
    )


def test_what_cannot_be_edited_alone_is_refused_with_what_to_write():
    # The alias would carry the change to another key.
    with pytest.raises(InputError) as caught:
        edited("a: &x {k: 1}\nb: *x\n", {("b", "k"): 2})
    assert "by hand" in caught.value.hint
    with pytest.raises(InputError):
        edited("- only\n- a list\n", {("a",): 1})


VALUES = st.one_of(
    st.integers(-1000, 10**9),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12),
)
KEYS = st.sampled_from(
    [("limits", "memory"), ("limits", "money"), ("task", "kind"), ("task", "at_least"), ("traffic", "concurrency"),
     ("upkeep", "retrain_every"), ("horizon",), ("indifference",), ("serve_on",), ("new",), ("new", "deep")]
)  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), max_size=4))
def test_only_the_changed_keys_change_and_every_comment_stays(steps):
    text, data = TEMPLATE, yaml.safe_load(TEMPLATE)
    for key, value in steps:
        try:
            text = edited(text, {key: value})
        except InputError:
            continue
        node = data
        for part in key[:-1]:
            if not isinstance(node.get(part), dict):
                if value is None:
                    break
                node[part] = {}
            node = node[part]
        else:
            if value is not None:
                node[key[-1]] = value
            elif key[-1] in node and len(node) == 1:
                node[key[-1]] = None
            else:
                node.pop(key[-1], None)
    assert yaml.safe_load(text) == data
    for line in TEMPLATE.splitlines():
        if line.lstrip().startswith("#"):
            assert line in text.splitlines()
