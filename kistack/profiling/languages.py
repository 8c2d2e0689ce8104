# ruff: noqa: RUF001 - words of other alphabets
"""In which language a text is: by its script, else by its most frequent small words. Unsure is unknown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

UNKNOWN = "unknown"

#: Ranges of characters that one language alone writes, or (Cyrillic, Arabic, Devanagari) that no small words here tell.
_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("he", r"[\u0590-\u05ff]"),
    ("th", r"[\u0e00-\u0e7f]"),
)

#: Function words that are frequent in one of these languages and are not in another of them, or in few.
_SMALL_WORDS = {
    "en": "the of and to in is that it for was with as are this be by from or have not which an at you",
    "de": "der die und das ist nicht mit den von zu ein eine auf für im des sich auch dem werden wird oder",
    "fr": "le la les des et est une dans pour que qui pas sur par du au avec sont ce plus il ou cette",
    "es": "el la los las y es una en para que con por del se no su al como más este o pero",
    "it": "il la di che e è un una per non del con sono le i gli nel della da si anche come",
    "pt": "o a os as e é um uma em para que com não do da dos das por se no na mais como",
    "nl": "de het een en van is dat niet op te zijn voor met aan er die in ook worden wordt bij",
    "sv": "och att det som en är på av för inte med den till ett om har de kan från eller",
    "pl": "i w na nie się z do jest że to o jak przez po od dla są oraz lub tym",
    "ru": "и в не на что с по как это для из к от или но он при его так же",
    "uk": "і в не на що з та до як це для від або але він при його є у й",
}
_WORDS = {code: frozenset(words.split()) for code, words in _SMALL_WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")

#: A text needs so many words, this share of them small words of one language, and so much more than of the next.
_LEAST_WORDS, _LEAST_SHARE, _AHEAD = 8, 0.12, 1.25
_LETTERS_OF_SCRIPT = 0.2
_CHARACTERS = 4_000
_SAMPLE = 1_000


def language_of(text: str) -> str:
    """The ISO 639-1 code of the language of a text, or ``unknown``; only its first 4,000 characters are read."""
    text = text[:_CHARACTERS]
    letters = sum(c.isalpha() for c in text)
    if not letters:
        return UNKNOWN
    for code, pattern in _SCRIPTS:
        if len(re.findall(pattern, text)) >= _LETTERS_OF_SCRIPT * letters:
            return code
    words = _WORD.findall(text.lower())
    if len(words) < _LEAST_WORDS:
        return UNKNOWN
    counts = Counter(words)
    scores = {code: sum(counts[w] for w in small) / len(words) for code, small in _WORDS.items()}
    (best, share), (_, second) = sorted(scores.items(), key=lambda s: -s[1])[:2]
    return best if share >= _LEAST_SHARE and share >= _AHEAD * second else UNKNOWN


def languages_of(texts: Sequence[str]) -> dict[str, float]:
    """The share of each language, by documents (of an evenly spaced sample of 1,000), the most frequent first."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    counts = Counter(map(language_of, sample))
    return {code: n / len(sample) for code, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))}
