import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_metrics.support import SUPPORTED, citation_precision, citations, lexical_support, sentences

NOTE = "The latest release of PHP 8.1 is 8.1.29. PHP 8.1 is supported until 2025-12-31."


@pytest.mark.parametrize(
    "text",
    [
        "8.1.29",
        "The latest release of PHP 8.1 is 8.1.29.",
        "PHP 8.1 is supported until 31 December 2025",
        "It is supported until December 2025.",
        "Supported until 2025.",
        "The latest releases of PHP 8.1 is v8.1.29 [1]",
    ],
)
def test_what_the_sources_say_is_supported_however_it_is_written(text):
    assert lexical_support(text, [NOTE]) >= SUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        "8.1.28",
        "The latest release of PHP 8.1 is 8.1.28.",
        "PHP 8.1 is supported until 2026-12-31.",
        "Bananas grow in warm countries.",
        "I think you should love it, we do.",
    ],
)
def test_a_wrong_value_other_words_and_opinions_are_not_supported(text):
    assert lexical_support(text, [NOTE]) < SUPPORTED


def test_a_wrong_value_leaves_the_other_sentences_their_support():
    both = lexical_support("The latest release is 8.1.29. It is supported until 2031-01-01.", [NOTE])
    assert 0.3 < both < SUPPORTED


def test_words_of_the_question_count_neither_way():
    bare = lexical_support("Maintenance of PHP 8.1 ends 2025-12-31", [NOTE])
    asked = lexical_support("Maintenance of PHP 8.1 ends 2025-12-31", [NOTE], "When does maintenance of PHP 8.1 end?")
    assert bare < asked
    assert lexical_support("Python 3.12", [NOTE], "Python 3.12?") is None


def test_a_text_that_says_nothing_has_no_support():
    assert lexical_support("...", [NOTE]) is None
    assert lexical_support("[1]", [NOTE]) is None
    assert lexical_support("8.1.29", []) == 0.0


def test_small_numbers_are_the_same_in_words():
    assert lexical_support("2 platinum and 5 gold albums", ["two platinum and five gold albums"]) == 1.0


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=80))
def test_a_text_supports_itself(text):
    found = lexical_support(text, [text])
    assert found is None or found == pytest.approx(1.0)


def test_sentences_and_citations_are_told_apart():
    assert sentences("One is 3.11.4. Two?\nThree ... ") == ["One is 3.11.4.", "Two?", "Three ..."]
    assert citations("It is 8.1.29 [1][3, 1].") == ("It is 8.1.29.", [1, 3])


def test_citations_are_right_where_the_passage_supports_the_sentence():
    passages = [NOTE, "PHP 8.2 is supported until 2026-12-31."]
    assert citation_precision("The latest release is 8.1.29 [1].", passages) == (1, 1)
    assert citation_precision("The latest release is 8.1.29. [1]", passages) == (1, 1)
    assert citation_precision("The latest release is 8.1.29 [2].", passages) == (0, 1)
    assert citation_precision("PHP 8.2 is supported until 2026-12-31 [2]. It is 8.1.29 [1, 7].", passages) == (2, 3)
    assert citation_precision("It is 8.1.29.", passages) == (0, 0)
