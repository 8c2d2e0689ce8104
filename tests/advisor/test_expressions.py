import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kistack.advisor.expressions import affine, parse
from kistack.advisor.policies import load_policies, policy_paths, shipped_policies
from kistack.errors import InputError


def shape(node):
    """The tree as nested tuples, without texts."""
    if node.op in {"fact", "has"}:
        return (node.op, ".".join(node.value))
    return node.value if node.op == "literal" else (node.op, *(shape(a) for a in node.args))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b > 1", (">", ("fact", "a.b"), 1.0)),
        ("a.b > -1.5e3", (">", ("fact", "a.b"), -1500.0)),
        ("!a.b || c.d && e.f", ("||", ("!", ("fact", "a.b")), ("&&", ("fact", "c.d"), ("fact", "e.f")))),
        ("1 - 2 - 3 < a.b * 2.0 + 1", ("<", ("-", ("-", 1.0, 2.0), 3.0), ("+", ("*", ("fact", "a.b"), 2.0), 1.0))),
        ("has(a.b) ? a.b : true", ("?", ("has", "a.b"), ("fact", "a.b"), True)),
        ("'x' in a.b", ("in", "x", ("fact", "a.b"))),
        ("a.b in [1, 'two', null]", ("in", ("fact", "a.b"), ("list", 1.0, "two", None))),
        ("a.b.matches(r'\\d+')", ("matches", ("fact", "a.b"), "\\d+")),
        ("a.b.exists(s, s == 'x')", ("exists", ("fact", "a.b"), ("variable",), ("==", ("variable",), "x"))),
        ("size(a.b) > 0x10", (">", ("size", ("fact", "a.b")), 16.0)),
        ('a[\'b\'] == """long""" // why', ("==", ("index", ("fact", "a"), "b"), "long")),
        ("(a.b > 1) && !(c.d)", ("&&", (">", ("fact", "a.b"), 1.0), ("!", ("fact", "c.d")))),
        ("-a.b < 1", ("<", ("negative", ("fact", "a.b")), 1.0)),
        ("a.f({'k': 1}).g", ("select", ("f", ("fact", "a"), ("map", "k", 1.0)))),
    ],
)
def test_trees(text, tree):
    assert shape(parse(text)) == tree


def test_a_variable_of_a_macro_is_no_fact():
    assert parse("a.b.exists(s, s.startsWith('x')) && s.t > 1").facts == (("a", "b"), ("s", "t"))


def test_parts_know_their_text_and_place():
    text = "a.b > 1 && (c.d < 2 || !has(e.f)) && g.h"
    tree = parse(text)
    assert [c.text for c in tree.conjuncts] == ["a.b > 1", "(c.d < 2 || !has(e.f))", "g.h"]
    assert [a.text for a in tree.atoms] == ["a.b > 1", "c.d < 2", "has(e.f)", "g.h"]
    for node in tree.walk():
        assert text[node.start : node.start + len(node.text)] == node.text


@pytest.mark.parametrize("text", ["a.b >", "a.b > 1 )", "&& a.b", "a.b > 1 c.d", "a.b ~ 1", "f(a.b", "[1, 2"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(InputError):
        parse(text)


def test_every_part_of_shipped_conditions_compiles_by_itself():
    for rule in load_policies(policy_paths(shipped_policies())):
        if rule.when.text:
            for node in parse(rule.when.text).walk():
                cel.compile(node.text)


NUMBERS = st.integers(-9, 9).map(float)
SUMS = st.recursive(
    st.one_of(NUMBERS.map(lambda n: f"({n})"), st.sampled_from(["a.x", "a.y"])),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=6,
)


@given(SUMS, NUMBERS, NUMBERS)
def test_affine_forms_agree_with_cel(text, x, y):
    found = affine(parse(text), ("a", "x"), {("a", "y"): y})
    value = cel.compile(text).execute({"a": {"x": x, "y": y}})
    if found is not None:
        assert found[0] + found[1] * x == pytest.approx(value)
    else:
        assert text.count("a.x") > 1


def test_what_is_not_affine():
    assert affine(parse("1.0 / a.x"), ("a", "x"), {}) is None
    assert affine(parse("a.x * a.y"), ("a", "x"), {}) is None
    assert affine(parse("size(a.x)"), ("a", "x"), {}) is None
    assert affine(parse("a.x / 4.0 - double(2)"), ("a", "x"), {}) == (-2.0, 0.25)
