"""Opened artifacts: the contract of runtimes and indexes, in plain Python types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kistack.domain.prompt import Passage, Prompt


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated answer. ``seconds`` is its share of wall-clock time; ``first_token_seconds`` is 0 when unknown."""

    text: str
    prompt_tokens: int
    new_tokens: int
    seconds: float
    first_token_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """Sum of natural-log probabilities of ``tokens`` tokens of a continuation (or of a whole text)."""

    total: float
    tokens: int


@runtime_checkable
class ModelSession(Protocol):
    """An opened language model. What of it works is said in ``Opens.gives`` of the runtime's traits."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Greedy answers in the order of ``prompts``; ``batch`` 0 lets the runtime choose, 1 measures latency.

        What it chooses must not depend on how busy the machine is: the same prompts get the same answers.
        ``on_done`` is called with the number of prompts finished so far.
        """
        ...

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one greedy answer as they come."""
        ...

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        """For each (context, continuation) the log-likelihood of the continuation given the context.

        A string context is raw text (may be empty: then the text's own first token is not scored); a prompt is
        rendered with the chat template first.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@runtime_checkable
class IndexSession(Protocol):
    """An opened index."""

    def search(self, queries: Sequence[str]) -> list[list[Passage]]:
        """For each query its passages, best first (how many is a setting of the retriever)."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...
