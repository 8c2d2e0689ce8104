"""Stand-ins: a model and an index that open anywhere, and a stage that tries out whatever another one opens.

They run in workers as any stage does, so that what is checked is what happens in a run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kistack.domain.artifacts import CORPUS_FILE, Artifact
from kistack.domain.prompt import Passage, Prompt
from kistack.plugins.builtins import read_jsonl
from kistack.plugins.sessions import Completion, LogLikelihood
from kistack.plugins.stages import Context, Opens, Out, Port, Stage, Traits

#: Format of the models and indexes that the stand-ins open.
FORMAT = "rehearsal"
RESULT_FILE = "tried.json"
#: Tokens that a session under test may write for one answer.
MOST_TOKENS = 4
QUESTIONS = ("Which colour has the bridge of Aar 1?", "Which colour has the bridge of Bex 2?", "What is the weather?")


class RehearsedModel(Stage):
    """Opens a stand-in for a model: its answers follow from the prompt, its likelihoods from lengths."""

    name = "runtime/rehearsal"
    summary = "a stand-in for a model"

    def traits(self, settings: Any) -> Traits:
        """Models of its own format."""
        gives = ("generate", "stream", "loglikelihood")
        return Traits(opens=(Opens(kind="model", format=FORMAT, gives=gives),))

    def open(self, settings: Any, artifact: Artifact, parts: Mapping[str, Artifact]) -> _Model:
        """The stand-in."""
        return _Model()


class RehearsedIndex(Stage):
    """Opens a corpus as a stand-in for an index: documents by shared words, the best two."""

    name = "retrieve/rehearsal"
    summary = "a stand-in for an index"

    def traits(self, settings: Any) -> Traits:
        """Indexes of its own format."""
        return Traits(opens=(Opens(kind="index", format=FORMAT, gives=("search",)),))

    def open(self, settings: Any, artifact: Artifact, parts: Mapping[str, Artifact]) -> _Index:
        """The stand-in."""
        return _Index(list(read_jsonl(artifact.path / CORPUS_FILE)))


class _Model:
    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        made = []
        for number, prompt in enumerate(prompts, 1):
            words = prompt[-1]["content"].split()
            made.append(Completion(_last(words), len(words), min(1, max_new_tokens), 0.001, 0.001))
            if on_done is not None:
                on_done(number)
        return made

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        yield _last(prompt[-1]["content"].split())

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        return [LogLikelihood(-0.5 * len(told.split()), max(1, len(told.split()))) for _, told in items]

    def close(self) -> None:
        pass


def _last(words: Sequence[str]) -> str:
    return words[-1].strip(".?") if words else ""


class _Index:
    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def search(self, queries: Sequence[str]) -> list[list[Passage]]:
        return [self._one(set(query.casefold().strip("?").split())) for query in queries]

    def _one(self, asked: set[str]) -> list[Passage]:
        scored = [(len(asked & set(r["text"].casefold().strip(".").split())), r) for r in self._rows]
        best = sorted(scored, key=lambda s: (-s[0], s[1]["id"]))[:2]
        return [Passage(r["id"], r["text"], r["id"], r.get("title", ""), float(s)) for s, r in best]

    def close(self) -> None:
        pass


class Audition(Stage):
    """Opens what is at its port and tries all that a session of that kind must be able to do.

    ``tried.json`` holds what came of it. Used by the checks only.
    """

    name = "audition/session"
    summary = "tries out an opened artifact"

    def traits(self, settings: Any) -> Traits:
        """One opened port of any kind."""
        return Traits(
            consumes={"opened": Port(kind="model", opened=True)}, produces={"tried": Out(kind="facts", format="json")}
        )

    def run(self, settings: Any, ctx: Context) -> Mapping[str, Mapping[str, float]]:
        """Open, try, close twice."""
        start = time.perf_counter()
        session = ctx.open("opened")
        found = {"open_seconds": time.perf_counter() - start, "kind": ctx.input("opened").kind}
        found |= _try_index(session) if found["kind"] == "index" else _try_model(session)
        session.close()
        session.close()
        text = json.dumps(found)
        (ctx.out("tried") / RESULT_FILE).write_text(text, encoding="utf-8")
        return {"tried": {"bytes": float(len(text))}}


def _try_index(session: Any) -> dict[str, Any]:
    together = session.search(list(QUESTIONS))
    alone = [session.search([q])[0] for q in QUESTIONS]
    return {
        "together": [[_as_json(p) for p in found] for found in together],
        "alone": [[_as_json(p) for p in found] for found in alone],
        "none": session.search([]),
    }


def _as_json(passage: Any) -> Any:
    return asdict(passage) if isinstance(passage, Passage) else repr(passage)


def _try_model(session: Any) -> dict[str, Any]:
    prompts = [[{"role": "user", "content": question}] for question in QUESTIONS]
    found: dict[str, Any] = {}
    done: list[int] = []
    acts: dict[str, Callable[[], Any]] = {
        "generate": lambda: [
            _completion(c) for c in session.generate(prompts, max_new_tokens=MOST_TOKENS, batch=2, on_done=done.append)
        ],
        "alone": lambda: [_completion(session.generate([p], max_new_tokens=MOST_TOKENS, batch=1)[0]) for p in prompts],
        "stream": lambda: list(session.stream(prompts[0], max_new_tokens=MOST_TOKENS)),
        "loglikelihood": lambda: [
            [float(item.total), int(item.tokens)]
            for item in session.loglikelihood([(prompts[0], "red"), ("", "the bridge is red"), ("the bridge", " is")])
        ],
    }
    for name, act in acts.items():
        try:
            found[name] = act()
        except Exception as error:  # noqa: BLE001 - which of them must work is for the traits to say
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    return {**found, "done": done}


def _completion(made: Any) -> Any:
    return asdict(made) if isinstance(made, Completion) else repr(made)
