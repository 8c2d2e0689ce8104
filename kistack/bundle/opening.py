"""Opening a bundle: ask it, or check that it is whole."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kistack.bundle.manifest import Manifest, read_manifest
from kistack.domain.artifacts import Artifact
from kistack.domain.prompt import Passage
from kistack.errors import InputError
from kistack.plugins.host import Host, load_host
from kistack.plugins.sessions import IndexSession, ModelSession
from kistack.plugins.waiting import waiting_briefly
from kistack.storage.hashing import digest_of, survey

if TYPE_CHECKING:
    from kistack.execution.remote import RemoteSession
    from kistack.plugins.environments import Environment
    from kistack.plugins.stages import Stage


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with the passages it was given, numbered from 1 in the prompt; ``seconds`` is wall-clock time."""

    question: str
    text: str
    passages: tuple[Passage, ...] = ()
    seconds: float = 0.0


class Bundle:
    """A bundle, opened lazily: model and index are loaded at the first question. Use it in a ``with`` statement."""

    def __init__(self, folder: Path, manifest: Manifest, host: Host) -> None:
        self.folder = folder
        self.manifest = manifest
        self._host = host
        self._models: dict[str, ModelSession] = {}
        self._index: IndexSession | None = None
        #: What the processes of sessions elsewhere say, kept for the case that they end.
        self._words = ExitStack()

    def ask(self, question: str, *, slot: str = "", max_new_tokens: int = 0) -> Answer:
        """Answer one question.

        Args:
            question: the question.
            slot: which delivered model answers, where there are several.
            max_new_tokens: longest answer; 0 takes the manifest's.

        Raises:
            InputError: an empty question, an unknown slot, or a runtime that is not installed here.
        """
        start = time.perf_counter()
        passages, prompt = self._prompt(question)
        limit = max_new_tokens or self.manifest.max_new_tokens
        done = self._model(slot).generate([prompt], max_new_tokens=limit, batch=1)[0]
        return Answer(question, done.text, tuple(passages), time.perf_counter() - start)

    def stream(self, question: str, *, slot: str = "", max_new_tokens: int = 0) -> tuple[list[Passage], Iterator[str]]:
        """The passages, and the pieces of the answer as they come."""
        passages, prompt = self._prompt(question)
        limit = max_new_tokens or self.manifest.max_new_tokens
        return passages, self._model(slot).stream(prompt, max_new_tokens=limit)

    def load(self, slot: str = "") -> None:
        """Open model and index now, so that the first question does not wait for it.

        Raises:
            InputError: an unknown slot, or a runtime that is not installed here.
        """
        self._model(slot)
        self._search()

    def streams(self, slot: str = "") -> bool:
        """Whether what answers can give an answer in pieces."""
        artifact = self.manifest.artifact(self.manifest.models[self._slot(slot)], self.folder)
        if artifact.opener is None:
            return False
        stage = self._host.get(artifact.opener.stage).stage
        settings = stage.Settings.model_validate(dict(artifact.opener.settings))
        traits = self._host.guard(stage.name, "traits", lambda: stage.traits(settings))
        return any("stream" in o.gives for o in traits.opens if o.covers(artifact.kind, artifact.format))

    def verify(self) -> list[str]:
        """One line for each part whose files are not what they were."""
        faults = []
        for name, part in self.manifest.parts.items():
            path = self.folder / part.path
            if not path.is_dir():
                faults.append(f"{name} is missing")
            elif digest_of(survey(path)) != part.digest:
                faults.append(f"{name} has changed")
        return faults

    def close(self) -> None:
        """Free model and index."""
        for session in self._models.values():
            session.close()
        if self._index is not None:
            self._index.close()
        self._models.clear()
        self._index = None
        self._words.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prompt(self, question: str) -> tuple[list[Passage], list[Any]]:
        if not question.strip():
            raise InputError("the question is empty", "write a question")
        index = self._search()
        passages = index.search([question])[0] if index is not None else []
        return passages, list(self.manifest.template.render(question, passages))

    def _search(self) -> IndexSession | None:
        if self._index is None and self.manifest.index:
            self._index = self._open(self.manifest.artifact(self.manifest.index, self.folder))
        return self._index

    def _slot(self, slot: str) -> str:
        models = self.manifest.models
        if not slot:
            slot = "model" if "model" in models else next(iter(models), "")
        if slot not in models:
            raise InputError(f"the bundle has no model {slot!r}", f"it has: {', '.join(models) or 'none'}")
        return slot

    def _model(self, slot: str) -> ModelSession:
        slot = self._slot(slot)
        if slot not in self._models:
            self._models[slot] = self._open(self.manifest.artifact(self.manifest.models[slot], self.folder))
        return self._models[slot]

    def _open(self, artifact: Artifact) -> Any:
        if artifact.opener is None:
            raise InputError(f"nothing is said to open {artifact.kind} {artifact.format}", "run the plan again")
        stage = self._host.get(artifact.opener.stage).stage
        settings = stage.Settings.model_validate(dict(artifact.opener.settings))
        traits = self._host.guard(stage.name, "traits", lambda: stage.traits(settings))
        with waiting_briefly():
            if traits.environment is not None:
                return self._open_there(stage, traits.environment, artifact)
            return self._host.guard(stage.name, "open", lambda: stage.open(settings, artifact, artifact.parts))

    def _open_there(self, stage: Stage, environment: Environment, artifact: Artifact) -> RemoteSession:
        """The session of an artifact whose stage has an environment of its own."""
        from kistack.execution.job import Remote
        from kistack.execution.remote import open_remote

        assert artifact.opener is not None
        python = environment.interpreter(stage.name, [type(stage).__module__])
        remote = Remote.of(stage, self._host.get(stage.name).plugin, python)
        words = self._words.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it lives as long as the session
        return open_remote(remote, artifact.opener.settings, artifact, words)


def open_bundle(folder: Path | str, *, host: Host | None = None) -> Bundle:
    """A bundle that ``kistack run`` left, here or copied from elsewhere.

    Raises:
        InputError: the folder is no bundle, or a part of it is missing.
    """
    path = Path(folder).expanduser()
    manifest = read_manifest(path)
    missing = [name for name, part in manifest.parts.items() if not (path / part.path).is_dir()]
    if missing:
        raise InputError(f"bundle {path} lacks {', '.join(missing)}", "copy the whole folder again")
    return Bundle(path, manifest, host or load_host())
