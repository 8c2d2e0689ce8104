"""What licences and terms say of training on a teacher's output, and the fact it makes."""

import pytest

from kistack.domain.facts import measured
from kistack.profiling.licences import known_terms, terms_of, training_terms


@pytest.mark.parametrize(
    ("licence", "terms", "output"),
    [
        ("Apache-2.0", "permissive", "free"),
        ("apache license 2.0", "permissive", "free"),
        ("MIT", "permissive", "free"),
        ("CC-BY-4.0", "permissive", "free"),
        ("CC-BY-SA-4.0", "permissive", "free"),
        ("llama2", "llama2", "own"),
        ("Llama 2 Community License Agreement", "llama2", "own"),
        ("llama3", "llama3", "own"),
        ("llama3.1", "llama3.1", "named"),
        ("llama3.2", "llama3.1", "named"),
        ("Llama-3.3 Community License", "llama3.1", "named"),
        ("llama4", "llama3.1", "named"),
        ("gemma", "gemma", "named"),
        ("tongyi-qianwen", "tongyi-qianwen", "own"),
        ("qwen", "qwen", "named"),
        ("qwen-research", "qwen-research", "barred"),
        ("mrl", "mistral-research", "barred"),
        ("tencent-hunyuan-community", "hunyuan", "own"),
        ("CC-BY-NC-4.0", "creative-commons-restricted", "barred"),
        ("CC-BY-NC-SA-4.0", "creative-commons-restricted", "barred"),
        ("CC-BY-NC-ND-4.0", "creative-commons-restricted", "barred"),
        ("CC-BY-ND-4.0", "creative-commons-restricted", "barred"),
    ],
)
def test_licences_as_cards_write_them(licence, terms, output):
    found = terms_of(licence)
    assert (found.id, found.output) == (terms, output)


@pytest.mark.parametrize("licence", ["", "llama", "llama31", "our own licence", "mitigation", "gemma-like"])
def test_what_nobody_knows_is_not_guessed(licence):
    assert terms_of(licence) is None


def test_a_licensee_may_choose_among_licences():
    assert terms_of("CC-BY-NC-4.0 OR Apache-2.0").output == "free"
    assert terms_of("llama2 OR our own").output == "own"


@pytest.mark.parametrize("reference", ["openai:some-model", "api:anthropic/some-model", "gemini:some", "vertexai:some"])
def test_terms_of_services_count_whatever_a_card_says(reference):
    assert terms_of("Apache-2.0", reference).output == "barred"
    assert terms_of("", f"hub:{reference.replace(':', '/')}") is None


def facts(**values):
    return {name.replace("__", "."): measured(value, "made for a test") for name, value in values.items()}


def test_no_teacher_or_unknown_terms_make_no_fact():
    assert training_terms(facts(model__reference="x", model__licence="llama2")) == {}
    assert training_terms(facts(teacher__reference="x")) == {}
    assert training_terms(facts(teacher__reference="x", teacher__licence="our own")) == {}


@pytest.mark.parametrize(
    ("teacher", "base", "bars", "why"),
    [
        ("Apache-2.0", "", False, "says nothing about output"),
        ("llama3.1", "Apache-2.0", False, "begins with Llama"),
        ("CC-BY-NC-4.0", "CC-BY-NC-4.0", True, "no commercial use"),
        ("llama2", "Apache-2.0", True, "not known to be one"),
        ("llama2", "", True, "not known to be one"),
        ("llama2", "Llama 2 Community License", False, "the base model is one"),
        ("llama3", "llama3.1", True, "not known to be one"),
    ],
)
def test_whether_a_teacher_bars_training(teacher, base, bars, why):
    given = facts(teacher__reference="t", teacher__licence=teacher, model__reference="m")
    given |= facts(model__licence=base) if base else {}
    (fact,) = training_terms(given).values()
    assert fact.value is bars
    assert fact.source == "assumed"
    assert why in fact.why
    assert "(" in fact.why  # where it stands


def test_the_table_is_whole():
    terms = known_terms()
    assert len({t.id for t in terms}) == len(terms)
    for one in terms:
        assert one.names or one.references
        assert one.says[0].islower()
        assert all(len(s) > 20 for s in one.sources)
