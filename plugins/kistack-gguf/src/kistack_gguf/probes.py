"""The prompts every export answers again: fixed, so that two exports can be compared.

They hold what exports break: dates and version numbers (how digits are cut), line breaks, code, other scripts, and
passages to read from.
"""

from __future__ import annotations

from kistack.domain.prompt import Message, Passage, PromptTemplate

_NOTES = (
    "Support for version 3.12 of the tool ends on 2028-10-31; its latest release is 3.12.4.",
    "Release 2024.05 came out on 14 May 2024 and fixes 37 defects.\n\n1. The importer keeps time zones.",
    "The museum opens at 09:30 and closes at 17:45, except on Mondays.",
)

_QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the capital of France?", ()),
    ("Name three fruits.", ()),
    ("What does the function f(x) = x**2 + 1 return for x = 3?", ()),
    ("Wie heißt die Hauptstadt von Österreich? 東京はどこですか。", ()),
    ("Which version of the tool is the latest?", _NOTES[:1]),
    ("When did release 2024.05 come out?", _NOTES[:2]),
    ("When does the museum close?", _NOTES),
    ("How many defects were fixed?", _NOTES[1:]),
)

#: Texts that are only cut into tokens and compared.
CUTS = (
    "def add(a, b):\n    return a + b\n\n\nprint(add(2,  40))",
    "1. first\n\n2. second\n\n\t- it's 10% of 12,345.67 €\r\n",
    "naïve café — 北京 123 🙂 I'll, we've, DON'T",
)


def probes() -> list[list[Message]]:
    """The chats, worded as kistack words questions."""
    template = PromptTemplate()
    return [
        template.render(question, [Passage(str(n), text) for n, text in enumerate(notes)])
        for question, notes in _QUESTIONS
    ]
