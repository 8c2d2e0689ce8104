import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kistack_metrics.normalisation import exact_match, normalise, token_f1


def reference_tokens(text):
    """SQuAD's normal form written a second time, token by token."""
    kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return [w for w in re.split(r"\s+", re.sub(r"\b(a|an|the)\b", " ", kept)) if w]


def reference_f1(text, answer):
    given, wanted = reference_tokens(text), reference_tokens(answer)
    if not given or not wanted:
        return float(given == wanted)
    left = list(wanted)
    shared = 0
    for token in given:
        if token in left:
            left.remove(token)
            shared += 1
    if not shared:
        return 0.0
    precision, recall = shared / len(given), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("The Denver Broncos!", ["denver broncos"], 1.0),
        ("a  cat", ["the cat"], 1.0),
        ("2027-10-31", ["2027-10-31"], 1.0),
        ("It is 2027-10-31", ["2027-10-31"], 0.0),
        ("three", ["four", "three"], 1.0),
        ("", ["a"], 1.0),
        ("x", [], 0.0),
    ],
)
def test_exact_match(text, answers, expected):
    assert exact_match(text, answers) == expected


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("the cat sat", ["cat sat down"], 0.8),
        ("cat", ["dog"], 0.0),
        ("cat cat", ["cat"], 2 / 3),
        ("one two", ["two three", "one two"], 1.0),
        ("", ["cat"], 0.0),
        ("", ["the"], 1.0),
        ("cat", [], 0.0),
    ],
)
def test_token_f1(text, answers, expected):
    assert token_f1(text, answers) == pytest.approx(expected)


def test_it_agrees_with_a_second_implementation_on_many_mutated_pairs():
    source = random.Random(3)
    words = "the a an Denver Broncos won 24-10 Super Bowl 50, in Santa Clara; it's 3.11.4 (x) O'Neil —".split()  # noqa: SIM905 - easier to read
    for _ in range(600):
        answer = " ".join(source.choices(words, k=source.randint(0, 8)))
        text = " ".join(source.choices([*answer.split(), *words], k=source.randint(0, 12)))
        assert normalise(text).split() == reference_tokens(text)
        assert token_f1(text, [answer]) == pytest.approx(reference_f1(text, answer))
        assert exact_match(text, [answer]) == float(reference_tokens(text) == reference_tokens(answer))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_f1_is_symmetric_bounded_and_one_on_exact_match(text, answer):
    found = token_f1(text, [answer])
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(token_f1(answer, [text]))
    assert found == pytest.approx(reference_f1(text, answer))
    if exact_match(text, [answer]):
        assert found == 1.0
