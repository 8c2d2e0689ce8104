"""Token estimates against counts of a real tokenizer (SmolLM2, 49,152 pieces), taken once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kistack.profiling.tokens import estimate_tokens, estimate_total

#: Text and its tokens under the real tokenizer.
COUNTED = [
    ("As of 2024-07-01 the latest release of Akeneo PIM 7.0 is 7.0.72.", 35),
    ("Who wrote the novel that the film is based on?", 11),
    ("The end of life of Debian 12 (bookworm) was 2026-06-10; extended support ends on 2028-06-30.", 43),
    (
        "Retrieval-augmented generation puts the best passages into the prompt, so a small model need not know them.",
        24,
    ),
    ("Reykjavík lies on the southern shore of Faxaflói and has about 140,000 inhabitants.", 31),
    ("def parse(text: str) -> int:\n    return int(text.strip())\n", 19),
    ("# Installation\n\n- run `make demo`\n- open http://localhost:8080/index.html\n", 26),
    ("HTTP and JSON are acronyms; NASA is another.", 11),
    ("It was raining when they arrived, and nobody had thought of bringing an umbrella.", 17),
]


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_single_texts_are_within_a_quarter(text, tokens):
    assert estimate_tokens(text) == pytest.approx(tokens, rel=0.25, abs=1.5)


def test_the_sum_is_within_a_twentieth():
    assert estimate_total([t for t, _ in COUNTED]) == pytest.approx(sum(n for _, n in COUNTED), rel=0.05)


@settings(deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_longer_is_never_less(first, second):
    assert 0 <= estimate_tokens(first) <= estimate_tokens(first + "\n" + second) + 1e-9


@pytest.mark.parametrize("copies", [1, 700])
def test_many_or_huge_texts_are_estimated_from_samples(copies):
    texts = [" ".join(t for t, _ in COUNTED)] * 700
    whole = sum(map(estimate_tokens, texts))
    joined = ["\n".join(texts[n::copies]) for n in range(copies)]
    assert estimate_total(joined) == pytest.approx(whole, rel=0.05)


def test_nothing_is_nothing():
    assert estimate_tokens("") == 0
    assert estimate_total([]) == 0
