"""Near duplicates are found, exact ones and lookalikes are not, and always the same."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.profiling.duplicates import near_duplicates, nearly_repeated


def prose(seed, words=200):
    generator = random.Random(seed)
    return [f"word{generator.randrange(5000)}" for _ in range(words)]


def edited(words, count, seed=0):
    generator, words = random.Random(seed), list(words)
    for n in generator.sample(range(len(words)), count):
        words[n] = f"other{n}"
    return words


def test_texts_with_few_edits_are_found_and_others_are_not():
    texts = [" ".join(prose(n)) for n in range(50)]
    texts += [" ".join(edited(prose(n), 4, n)) for n in range(10)]
    texts += [" ".join(edited(prose(n), 80, n)) for n in range(10, 20)]
    found = nearly_repeated(texts)
    assert found == {50 + n: n for n in range(10)}
    assert nearly_repeated(texts) == found


def test_exact_duplicates_and_short_texts_are_not_among_them():
    text = " ".join(prose(1))
    assert near_duplicates([text, text.upper() + "!", text.replace(" ", "\n")]) == 0
    assert near_duplicates(["one two", "one two", "one three", ""]) == 0


def test_templates_filled_in_many_ways_are_quick():
    texts = [f"The newest version of product {n} is {n}.0 and it is supported until {2000 + n}." for n in range(3000)]
    assert near_duplicates(texts) < len(texts)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(alphabet="abc ", max_size=60), max_size=8))
def test_every_repeated_text_points_to_an_earlier_one_that_is_none(texts):
    found = nearly_repeated(texts)
    assert all(earlier < number and earlier not in found for number, earlier in found.items())
