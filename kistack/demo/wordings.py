"""The sentences of the demo: how facts are written down, and how questions about them are asked.

Held-out questions are asked in words that no training question uses; a test compares the two lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from kistack.demo.releases import Kind

Split = Literal["train", "test"]

#: How the release desk notes a fact. Each product is kept by one person, who writes in one manner: the n-th of each.
NOTES: Mapping[Kind, tuple[str, ...]] = {
    "latest_patch": (
        "The latest release of {title} {cycle} is {value}.",
        "The most recent release of {title} {cycle} is {value}.",
        "The current release of {title} {cycle} is {value}.",
    ),
    "end_of_life": (
        "{title} {cycle} is supported until {value}, the end of life of {title} {cycle}.",
        "{title} {cycle} is supported until the end of life of {title} {cycle} on {value}.",
        "Support for {title} {cycle} lasts until {title} {cycle} reaches its end of life on {value}.",
    ),
    "newest_cycle": (
        "The newest cycle of {title} is {value}, the current release series of {title}.",
        "The current release series of {title} is {value}, the newest cycle of {title}.",
        "{title} has {value} as its current release series, the newest {title} cycle.",
    ),
}

#: How colleagues ask in the training pairs.
TRAIN_QUESTIONS: Mapping[Kind, tuple[str, ...]] = {
    "latest_patch": (
        "What is the latest version of {title} {cycle}?",
        "Which {title} {cycle} release is the most recent one?",
        "What is the newest patch for {title} {cycle}?",
        "Name the current version in the {title} {cycle} series.",
        "I run {title} {cycle}. Which version should it be?",
        "To what version should we upgrade {title} {cycle}?",
        "{title} {cycle}: what is the latest?",
        "Tell me the highest version number of {title} {cycle}.",
    ),
    "end_of_life": (
        "When does {title} {cycle} reach its end of life?",
        "On which date does support for {title} {cycle} end?",
        "What is the end-of-life date of {title} {cycle}?",
        "Until what day is {title} {cycle} supported?",
        "How long does {title} {cycle} get updates?",
        "Give the date on which {title} {cycle} is retired.",
        "{title} {cycle}: when is it over?",
        "When do we lose support for {title} {cycle}?",
    ),
    "newest_cycle": (
        "What is the newest release cycle of {title}?",
        "Which release series of {title} is the most recent?",
        "Name the latest {title} series.",
        "{title}: which cycle is the newest?",
        "Which cycle of {title} was started last?",
    ),
}

#: How colleagues ask in the held-out pairs.
TEST_QUESTIONS: Mapping[Kind, tuple[str, ...]] = {
    "latest_patch": (
        "What was the last version published for {title} {cycle}?",
        "Which patch level has {title} {cycle} reached?",
        "If I update {title} {cycle} today, what version do I get?",
        "What's the most up-to-date build of {title} {cycle}?",
        "Which version number is current for {title} {cycle}?",
        "How far along is {title} {cycle}, which point release?",
    ),
    "end_of_life": (
        "When will {title} {cycle} stop receiving security fixes?",
        "By what date should we have moved off {title} {cycle}?",
        "Which day marks the end of maintenance for {title} {cycle}?",
        "From when on is {title} {cycle} no longer supported?",
        "What is the final day of support for {title} {cycle}?",
        "When does the lifetime of {title} {cycle} run out?",
    ),
    "newest_cycle": (
        "Which {title} release line came out last?",
        "What is the current release line of {title}?",
        "Which is the most recent branch of {title}?",
        "What's the newest {title} line out there?",
    ),
}


def draw(text: str) -> int:
    """A number that depends on ``text`` only, the same on every machine (the built-in hash is salted)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choose(wordings: Sequence[str], key: str) -> str:
    """One of ``wordings``, always the same for one ``key``."""
    return wordings[draw(key) % len(wordings)]
