"""How a question becomes a prompt: one template for training, evaluation and serving, or answers drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

#: Beside ``pairs.jsonl`` in every pairs or items artifact: the wording that goes with them.
PROMPT_FILE = "prompt.json"


class Message(TypedDict):
    """One turn of a chat, as chat templates read it."""

    role: str
    content: str


Prompt = Sequence[Message]


@dataclass(frozen=True, slots=True)
class Passage:
    """A retrieved piece of a document. ``score`` is the retriever's own, larger is better."""

    id: str
    text: str
    document: str = ""
    title: str = ""
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The wording around question and passages. Passages are numbered from 1, best first."""

    system: str = "You answer questions. Reply with the answer only, as short as possible."
    with_passages: str = "Use these notes to answer.\n{passages}\n\nQuestion: {question}"
    bare: str = "Question: {question}"

    def render(
        self,
        question: str,
        passages: Sequence[Passage] = (),
        examples: Sequence[tuple[str, str]] = (),
    ) -> list[Message]:
        """The chat for one question; ``examples`` are (question, answer) turns shown before it."""
        messages: list[Message] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        for asked, answer in examples:
            messages.append({"role": "user", "content": self.bare.replace("{question}", asked)})
            messages.append({"role": "assistant", "content": answer})
        if passages:
            numbered = "\n".join(f"[{n}] {p.text}" for n, p in enumerate(passages, 1))
            content = self.with_passages.replace("{passages}", numbered).replace("{question}", question)
        else:
            content = self.bare.replace("{question}", question)
        messages.append({"role": "user", "content": content})
        return messages

    def to_json(self) -> dict[str, Any]:
        """A JSON document; ``PromptTemplate(**document)`` reads it back."""
        return asdict(self)

    def write(self, folder: Path) -> None:
        """Put the wording into a pairs or items folder, so that whoever reads them renders them alike."""
        (folder / PROMPT_FILE).write_text(json.dumps(self.to_json(), sort_keys=True) + "\n", encoding="utf-8")


def template_of(folder: Path) -> PromptTemplate:
    """The wording that a pairs or items folder carries; the default one where it carries none."""
    path = folder / PROMPT_FILE
    if not path.exists():
        return PromptTemplate()
    return PromptTemplate(**json.loads(path.read_text(encoding="utf-8")))
