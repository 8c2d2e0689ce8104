"""Exact match and token F1 as the SQuAD evaluation defines them.

Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016, section 6.1: lower case,
ASCII punctuation removed, the articles a, an and the removed, white space collapsed. Mind that removing punctuation
makes ``3.11.4`` and ``31.14`` the same text: ``contained`` does not.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalise(text: str) -> str:
    """``text`` as SQuAD compares it."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(text: str, answers: Iterable[str]) -> float:
    """1 if ``text`` equals any of ``answers`` once normalised, else 0."""
    given = normalise(text)
    return float(any(given == normalise(answer) for answer in answers))


def token_f1(text: str, answers: Iterable[str]) -> float:
    """The best harmonic mean of token precision and recall over ``answers``, 0 to 1.

    Tokens are counted as often as they occur. Two texts without any token agree (1), one without disagrees (0).
    """
    given = normalise(text).split()
    return max((_f1(given, normalise(answer).split()) for answer in answers), default=0.0)


def _f1(given: list[str], wanted: list[str]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))
