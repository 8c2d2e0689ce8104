"""Topics separate what was written apart."""

import random

from kistack.profiling.topics import LEAST_DOCUMENTS, topics_of

THEMES = {
    "kitchen": ["oven", "recipe", "butter", "flour", "kettle", "simmer"],
    "harbour": ["vessel", "anchor", "cargo", "tide", "pilot", "quay"],
}


def corpus(each=30):
    generator = random.Random(0)
    return [" ".join(generator.choices(words, k=40)) for words in THEMES.values() for _ in range(each)]


def test_terms_of_one_theme_stand_together_and_shares_add_up():
    texts = corpus()
    found = topics_of(texts)
    assert found
    for _, terms in found:
        assert any(set(terms) <= set(words) for words in THEMES.values()), terms
    assert abs(sum(share for share, _ in found) - 1) < 1e-6
    assert topics_of(texts) == found


def test_too_little_has_no_topics():
    assert topics_of(corpus()[: LEAST_DOCUMENTS - 1]) == []
    assert topics_of([str(n) for n in range(100)]) == []
    assert topics_of([]) == []
