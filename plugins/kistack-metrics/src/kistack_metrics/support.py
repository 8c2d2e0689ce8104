"""How far the words of a text stand in its sources: the score ``lexical_support``.

It reads words, not meaning: a true sentence in other words scores low, and one that joins the sources' words into
something false scores high. What it was checked against, and how well it agrees with people, is in the README.

A text's tokens are those of ``containment`` (dates, versions and numbers whole, and equal however written), words in
the singular, small numbers in words as numbers; a day in the sources also gives its month and its year. Each weighs
what it says: a value (date, version, number) two, a word one, a function word a half; the words by which writers speak
of themselves or to the reader (*I think you*) two, for no source says what they think; a negation two. Words of the
question that the sources lack count neither way: an answer that repeats them claims nothing by it. The score is the
weight of what the sources hold over the weight of all. A sentence with a value that neither sources nor question hold
has no support at all, however familiar its other words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kistack_metrics.containment import Token, read_tokens

#: From here on a text counts as supported: where agreement with people is best (README).
SUPPORTED = 0.75

_FUNCTION = frozenset(
    "a an the and or but if of in on at to from by for with as is are was were be been being am do does did has have "  # noqa: SIM905 - easier to read
    "had having it its this that these those there here he she they him her them his their so than then too very just "
    "also can could would should will may might must about into over after before such which who whom what when where "
    "why how all any some more most other only own same up down out off again once s t d ll re ve m don".split()
)
_VOICE = frozenset({"i", "me", "my", "mine", "myself", "you", "your", "yours", "we", "us", "our", "ours"})
_NEGATION = frozenset({"no", "not", "never", "none", "neither", "nor", "cannot"})
_VALUES = frozenset({"date", "version", "number"})

_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    )
    if word != "one"  # mostly a pronoun
}

_CITATION = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[^\s])|\n+")


def sentences(text: str) -> list[str]:
    """The sentences of a text; pieces without any word belong to no sentence."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if read_tokens(piece)]


def citations(sentence: str) -> tuple[str, list[int]]:
    """A sentence without its marks ``[1]`` or ``[1, 2]``, and the numbers of the passages that they name, each once."""
    numbers = [int(n) for mark in _CITATION.findall(sentence) for n in re.findall(r"\d+", mark)]
    return _CITATION.sub("", sentence).strip(), list(dict.fromkeys(numbers))


def lexical_support(text: str, sources: Iterable[str], question: str = "") -> float | None:
    """Share of what ``text`` says that ``sources`` hold word by word, 0 to 1 (see the module); None if it says nothing.

    Citation marks are no part of it. Words of ``question`` that the sources lack count neither way.
    """
    held = _keys(part for source in sources for token in read_tokens(source) for part in _parts(token))
    asked = _keys(read_tokens(question)) - held
    found = total = 0.0
    for sentence in sentences(citations_removed(text)):
        tokens = [token for token in read_tokens(sentence) if _key(token) not in asked]
        weights = [_weight(token) for token in tokens]
        total += sum(weights)
        if all(_key(token) in held for token in tokens if token.kind in _VALUES):
            found += sum(w for token, w in zip(tokens, weights, strict=True) if _key(token) in held)
    return found / total if total else None


def citations_removed(text: str) -> str:
    """``text`` without marks such as ``[1]``."""
    return _CITATION.sub("", text)


def citation_precision(text: str, passages: Sequence[str], question: str = "") -> tuple[int, int]:
    """How many of the passages that ``text`` cites support the sentence that cites them, and how many it cites.

    Gao et al., "Enabling Large Language Models to Generate Text with Citations", EMNLP 2023, section 3.2, with
    ``lexical_support`` of at least ``SUPPORTED`` in the place of an entailment model. Passages are numbered from 1, as
    the prompt shows them; a number that no passage has is a wrong citation. A mark after the full stop belongs to the
    sentence before it.
    """
    right = cited = 0
    for sentence, numbers in _cited(text):
        for number in numbers:
            cited += 1
            if 1 <= number <= len(passages):
                support = lexical_support(sentence, [passages[number - 1]], question)
                right += support is not None and support >= SUPPORTED
    return right, cited


def _cited(text: str) -> list[tuple[str, list[int]]]:
    """Sentences with what they cite; a mark that begins a sentence is that of the one before."""
    moved = re.sub(r"([.!?])((?:\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\])+)", r"\2\1", text)
    return [(plain, numbers) for plain, numbers in map(citations, sentences(moved)) if numbers]


def _keys(tokens: Iterable[Token]) -> frozenset[tuple[str, str]]:
    return frozenset(map(_key, tokens))


def _key(token: Token) -> tuple[str, str]:
    if token.kind != "word":
        return token.kind, token.value
    number = _NUMBERS.get(token.value)
    return ("word", _singular(token.value)) if number is None else ("number", number)


def _parts(token: Token) -> list[Token]:
    """The token and what it says beside: a day also gives its month and its year."""
    if token.kind != "date" or not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", token.value):
        return [token]
    return [token, Token("date", token.value[:7]), Token("number", token.value[:4])]


def _singular(word: str) -> str:
    """The singular by endings alone (the S stemmer of Harman, "How Effective Is Suffixing?", JASIS 1991)."""
    if len(word) > 3 and word.endswith("ies") and word[-4] not in "ae":  # noqa: PLR2004 - an ending and a stem
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("es") and word[-3] not in "aeo":  # noqa: PLR2004
        return word[:-1]
    if len(word) > 2 and word.endswith("s") and word[-2] not in "us":  # noqa: PLR2004
        return word[:-1]
    return word


def _weight(token: Token) -> float:
    if token.kind in _VALUES or token.value in _VOICE or token.value in _NEGATION:
        return 2.0
    return 0.5 if token.value in _FUNCTION else 1.0
