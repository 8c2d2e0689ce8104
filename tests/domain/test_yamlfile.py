"""Safe YAML: plain values only, with the line of each."""

import pytest
from pydantic import BaseModel, ConfigDict, Field

from kistack.domain.yamlfile import load_yaml, validate
from kistack.errors import PlanError, ScenarioError


def read(tmp_path, text, **options):
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    return load_yaml(path, **options)


def test_every_value_has_its_line(tmp_path):
    data, positions = read(tmp_path, "a: 1\nb:\n  c: [1,\n    2]\n  d: {e: null}\n")
    assert data == {"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}
    assert positions.where(("b", "c", 1)) == "f.yaml:4"
    assert positions.where(("b", "d", "e")) == "f.yaml:5"
    assert positions.where(("b", "d", "missing")) == "f.yaml:5"
    assert positions.where(()) == "f.yaml:1"


def test_keys_are_texts_and_anchors_are_plain(tmp_path):
    data, _ = read(tmp_path, "1: &x {y: 2}\n2024-01-01: *x\nyes: no\n")
    assert data == {"1": {"y": 2}, "2024-01-01": {"y": 2}, "yes": False}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "!!python/object/apply:os.system"),
        ("a: !env HOME\n", 1, "!env"),
        ("a: 1\n\na: 2\n", 3, "'a' stands twice (first at line 1)"),
        ("x: {}\ny:\n  <<: {a: 1}\n", 3, "'<<' cannot be a key"),
        ("[1]: 2\n", 1, "cannot be a key"),
        ("a: 2024-13-45\n", 1, "'2024-13-45' does not parse"),
        ("a: 1\nb: &b [*b]\n", 1, "too many values"),
        ("a: 1\nb: x\0y\n", 2, "a NUL byte"),
        ("a: 1\n\nb: x\x1by\n", 3, "U+001B"),
    ],
)
def test_what_is_refused_names_line_and_remedy(tmp_path, text, line, message):
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.where == f"f.yaml:{line}"
    assert message in problem.message
    assert problem.hint


def test_an_alias_bomb_is_refused_quickly(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ScenarioError, match="too many values"):
        read(tmp_path, "\n".join(lines))


def test_syntax_errors_have_a_line(tmp_path):
    with pytest.raises(PlanError) as caught:
        read(tmp_path, "a: 1\nb: [1\nc: 2\n", error=PlanError)
    assert caught.value.problems[0].where in {"f.yaml:3", "f.yaml:4"}
    with pytest.raises(ScenarioError, match="a NUL byte"):
        read(tmp_path, "a: \x00\n")


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(0, description="how large")


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    leaves: tuple[Leaf, ...] = ()
    named: dict[str, Leaf] = {}
    one: Leaf | None = None


def test_problems_of_reading_and_checking_come_together_in_order(tmp_path):
    data, positions = read(
        tmp_path,
        "leaves:\n- {size: big}\n- {sise: 1}\none: {size: !x 3}\nnamed:\n  a: {siz: 2}\n",
        collect=True,
    )
    with pytest.raises(ScenarioError) as caught:
        validate(Tree, data, positions)
    found = [(p.where, p.message, p.hint) for p in caught.value.problems]
    assert [f[0] for f in found] == ["f.yaml:2", "f.yaml:3", "f.yaml:4", "f.yaml:6"]
    assert "leaves[0].size: 'big'" in found[0][1]
    assert "how large" in found[0][2]
    assert found[1][1:] == ("unknown key 'leaves[1].sise'", "did you mean 'size'? accepted: size")
    assert found[3][1] == "unknown key 'named.a.siz'"
    assert "size" in found[3][2]


def test_a_right_file_becomes_an_instance(tmp_path):
    data, positions = read(tmp_path, "leaves: [{size: 3}]\n")
    assert validate(Tree, data, positions).leaves[0].size == 3
