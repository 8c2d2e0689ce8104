"""The prompts every export answers again: fixed, so that two exports can be compared."""

from __future__ import annotations

from kistack.domain.prompt import Message, Passage, PromptTemplate

_NOTES = (
    "Support for version 3.12 of the tool ends on 2028-10-31; its latest release is 3.12.4.",
    "The ferry leaves pier 7 at 08:15 and takes 25 minutes; a ticket costs 12.40 €.",
)

_QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the capital of France?", ()),
    ("Name three fruits.", ()),
    ("Schreibe einen Satz über Österreich. 東京はどこですか。", ()),
    ("Which version of the tool is the latest?", _NOTES[:1]),
    ("When does the ferry leave?", _NOTES),
    ("How much is a ticket?", _NOTES[1:]),
)


def probes() -> list[list[Message]]:
    """The chats, worded as kistack words questions."""
    template = PromptTemplate()
    return [
        template.render(question, [Passage(str(n), text) for n, text in enumerate(notes)])
        for question, notes in _QUESTIONS
    ]
