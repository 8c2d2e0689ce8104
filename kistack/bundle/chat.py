"""A bundle that answers in a process of its own: whoever asks neither waits for it to load nor loads its libraries."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from kistack.bundle.manifest import read_manifest
from kistack.bundle.opening import Bundle, open_bundle
from kistack.domain.prompt import Passage
from kistack.errors import KistackError, StepFailed

#: Where this kistack lies, which need not be where the interpreter would look.
_HOME = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.append(sys.argv[1]); from kistack.bundle.chat import main; sys.exit(main(sys.argv[2]))"
_LAST_WORDS = 600
_GRACE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer is given, numbered from 1 in the prompt."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the answer; where the runtime does not stream there is one, the whole."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer is whole: ``seconds`` from the question on, without the time that loading took."""

    seconds: float


Part = Sources | Piece | Answered


class Chat:
    """A bundle to ask, again and again. Use it in a ``with`` statement, or close it.

    The process starts with the first question; loading the model is part of what that one takes. One question is
    answered at a time. ``close`` may be called from another thread: it ends an answer that is under way.

    Args:
        folder: the bundle's folder.

    Raises:
        InputError: the folder is no bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, question: str, *, slot: str = "") -> Iterator[Part]:
        """The passages, the pieces of the answer as they come, and how long it took.

        Raises:
            InputError: an empty question, an unknown slot, or a runtime that is not installed here.
            StepFailed: the process ended.
        """
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"question": question, "slot": slot}).encode() + b"\n")
            process.stdin.flush()
        except (OSError, ValueError):
            raise self._death(process) from None
        while True:
            line = process.stdout.readline()
            if not line:
                raise self._death(process)
            part = _part(json.loads(line))
            yield part
            if isinstance(part, Answered):
                return

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            words, self._words = self._words, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _discard(process, words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise StepFailed(f"bundle {self.folder} is closed", "open it again")
            if self._process is not None and self._process.poll() is None:
                return self._process
            _discard(self._process, self._words)
            self._words = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
            try:
                self._process = subprocess.Popen(
                    # -P: a user's folder may hold files with the names of modules.
                    [sys.executable, "-P", "-c", _START, str(_HOME), str(self.folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._words,
                    start_new_session=True,
                )
            except OSError as error:
                raise StepFailed(
                    f"no process can be started: {error.strerror}", "close other programs, or free some disk"
                ) from error
            return self._process

    def _death(self, process: subprocess.Popen[bytes]) -> StepFailed:
        with self._lock:
            if self._closed:
                return StepFailed("the question was dropped: the bundle was closed", "open it and ask again")
            words = ""
            if self._words is not None:
                with contextlib.suppress(OSError, ValueError):
                    end = self._words.seek(0, os.SEEK_END)
                    self._words.seek(max(0, end - _LAST_WORDS))
                    words = self._words.read().decode(errors="replace").strip()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
        status = process.returncode
        how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
        told = f"; its last words: {words}" if words else ""
        return StepFailed(f"the process of bundle {self.folder.name} {how}{told}", "ask again: it is started anew")


def _discard(process: subprocess.Popen[bytes] | None, words: IO[bytes] | None) -> None:
    """Close what connected to a process that has ended; whoever still reads gets the end of the stream."""
    streams = (words,) if process is None else (process.stdin, process.stdout, words)
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            if stream is not None:
                stream.close()


def _part(document: dict[str, Any]) -> Part:
    """A line of the child; its error is raised here."""
    if "error" in document:
        raise KistackError(document["error"], document.get("hint", ""))
    if "passages" in document:
        return Sources(tuple(Passage(**p) for p in document["passages"]))
    if "piece" in document:
        return Piece(document["piece"])
    return Answered(float(document["seconds"]))


# --- in the child


def main(folder: str) -> int:
    """Answer questions from standard input, a JSON document a line, until it ends."""
    # Libraries print; what they print must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(**document: Any) -> None:
        answers.write(json.dumps(document).encode() + b"\n")
        answers.flush()

    bundle: Bundle | None = None
    try:
        for line in sys.stdin.buffer:
            asked = json.loads(line)
            try:
                bundle = bundle or open_bundle(folder)
                _answer(bundle, asked["question"], asked["slot"], tell)
            except KistackError as error:
                tell(error=error.message, hint=error.hint)
            except Exception as error:  # noqa: BLE001 - a runtime may raise anything; the next question may do
                tell(error=f"{type(error).__name__}: {error}", hint="report it to the author of the runtime's plugin")
    except BrokenPipeError:
        return 0
    finally:
        if bundle is not None:
            bundle.close()
    return 0


def _answer(bundle: Bundle, question: str, slot: str, tell: Any) -> None:
    bundle.load(slot)
    start = time.perf_counter()
    if bundle.streams(slot):
        passages, pieces = bundle.stream(question, slot=slot)
        tell(passages=[asdict(p) for p in passages])
        for piece in pieces:
            tell(piece=piece)
    else:
        answer = bundle.ask(question, slot=slot)
        tell(passages=[asdict(p) for p in answer.passages])
        tell(piece=answer.text)
    tell(seconds=time.perf_counter() - start)
