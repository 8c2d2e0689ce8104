"""Sessions of another environment: a child process there opens the artifact, and answers over its standard streams.

Whoever asks has an object with the methods of ``ModelSession`` or ``IndexSession``. Each call is one JSON line; what
comes back are lines with news of it (prompts done, pieces of a text) and one with its result or error. The child ends
when its input does, so it outlives nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

from kistack.domain.artifacts import Artifact
from kistack.domain.prompt import Passage, Prompt
from kistack.errors import KistackError, StepFailed
from kistack.execution.job import Remote, error_from_json, error_to_json, load_stage
from kistack.plugins.sessions import Completion, LogLikelihood

#: How long a child may take to end when it is no longer needed.
_GRACE_SECONDS = 5.0
_LAST_WORDS = 600
_LEFT = 143

Reply = Mapping[str, Any]


def open_remote(
    remote: Remote, settings: Mapping[str, Any], artifact: Artifact, words: IO[bytes] | None = None
) -> RemoteSession:
    """The session of an artifact, in a process of its own.

    Args:
        remote: the stage that opens it, and where.
        settings: of the stage, as JSON.
        artifact: what is opened.
        words: a file that takes what the child and its libraries say (default: standard error).

    Raises:
        KistackError: what the stage raised.
        StepFailed: the child cannot be started, or ended.

    """
    cls = RemoteIndex if artifact.kind == "index" else RemoteModel
    return cls(remote, settings, artifact, words)


class RemoteSession:
    """What remote models and indexes share: the child, and one call after the other."""

    def __init__(
        self, remote: Remote, settings: Mapping[str, Any], artifact: Artifact, words: IO[bytes] | None = None
    ) -> None:
        self._who = remote.who
        self._words = words
        try:
            self._process = subprocess.Popen(
                remote.interpreter.command(__name__),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                env=remote.interpreter.variables(),
            )
        except OSError as error:
            raise StepFailed(
                f"{remote.who}: no process can be started: {error.strerror}", "close other programs, or free some disk"
            ) from error
        self._closed = False
        told = {"who": remote.who, "stage": remote.stage, "settings": dict(settings), "artifact": artifact.to_json()}
        try:
            self._result({"call": "open", **told})
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the child; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self._kill()

    def _result(self, asked: Mapping[str, Any], news: Callable[[Reply], None] = lambda _reply: None) -> Any:
        """The result of a call; ``news`` is given what is told before it.

        Raises:
            KistackError: what the stage or its session raised.
            StepFailed: the child has ended.

        """
        self._tell(asked)
        reply: Reply = {}
        try:
            while "result" not in reply:
                reply = self._heard()
                if "error" in reply:
                    raise error_from_json(reply["error"], self._who)
                if "result" not in reply:
                    news(reply)
            return reply["result"]
        finally:
            if not reply.keys() & {"result", "error"}:
                # Nobody waits for the rest of this call, and the next one must not read it.
                self._kill()

    def _tell(self, asked: Mapping[str, Any]) -> None:
        if self._closed:
            raise StepFailed(f"{self._who}: its session is closed", "open it again")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._death() from None

    def _heard(self) -> Reply:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        found: Reply = json.loads(line)
        return found

    def _death(self) -> StepFailed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        status = self._process.poll()
        self._kill()
        killed = status is not None and status < 0
        how = f"was killed by signal {-(status or 0)}" if killed else f"ended with status {status}"
        message = f"{self._who}: its process {how}"
        if status == -signal.SIGKILL:
            return StepFailed(message, "perhaps out of memory: close other programs, or use a smaller model")
        words = self._last_words()
        return StepFailed(message, f"its last words: {words}" if words else "its last words are in the log")

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        with contextlib.suppress(OSError, ValueError):
            end = self._words.seek(0, os.SEEK_END)
            self._words.seek(max(0, end - _LAST_WORDS))
            lines = self._words.read().decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def _kill(self) -> None:
        self._closed = True
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


class RemoteIndex(RemoteSession):
    """A ``kistack.plugins.sessions.IndexSession`` of another environment."""

    def search(self, queries: Sequence[str]) -> list[list[Passage]]:
        """For each query its passages, best first."""
        found = self._result({"call": "search", "queries": list(queries)})
        return [[Passage(**p) for p in passages] for passages in found]


class RemoteModel(RemoteSession):
    """A ``kistack.plugins.sessions.ModelSession`` of another environment."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Greedy answers in the order of ``prompts``."""
        done = on_done or (lambda _count: None)
        asked = {
            "call": "generate",
            "prompts": [list(p) for p in prompts],
            "max_new_tokens": max_new_tokens,
            "batch": batch,
        }
        made = self._result(asked, lambda reply: done(reply["done"]))
        return [Completion(**one) for one in made]

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one greedy answer as they come; leaving the loop early stops the model."""
        self._tell({"call": "stream", "prompt": list(prompt), "max_new_tokens": max_new_tokens})
        reply = self._heard()
        try:
            while "piece" in reply:
                yield reply["piece"]
                reply = self._heard()
        finally:
            if "piece" in reply:
                self._stop()
        if "error" in reply:
            raise error_from_json(reply["error"], self._who)

    def _stop(self) -> None:
        """End a stream that was left early; what had been said by then is dropped."""
        try:
            self._tell({"call": "stop"})
            while "piece" in self._heard():
                pass
        except StepFailed:
            # It has ended already: the next call says so.
            return
        except BaseException:
            self._kill()
            raise

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        """For each (context, continuation) the log-likelihood of the continuation given the context."""
        told = [[context if isinstance(context, str) else list(context), text] for context, text in items]
        return [LogLikelihood(**one) for one in self._result({"call": "loglikelihood", "items": told})]


# --- in the child


class _Asked:
    """Calls from standard input, read in a thread that also notices when nobody asks any more."""

    def __init__(self) -> None:
        # What the session reads from standard input must not be the next call.
        self._input = os.fdopen(os.dup(0), "rb")
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self._came = self.done = 0
        self.stopped = threading.Event()
        self._calls: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._watch, args=(os.getppid(),), daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """The next call; None when there are no more."""
        return self._calls.get()

    def _read(self) -> None:
        for line in self._input:
            call = json.loads(line)
            if call["call"] == "stop":
                self.stopped.set()
                continue
            self._came += 1
            self._calls.put(call)
        if self._came > self.done:
            os._exit(_LEFT)
        self._calls.put(None)

    def _watch(self, parent: int) -> None:
        # The pipe stays open where the parent forked: its number changing is the second sign of its end.
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(_LEFT)


class _Served:
    """An opened artifact, and how each call of it is answered. ``tell`` writes one line of news."""

    def __init__(self, call: Mapping[str, Any], asked: _Asked, tell: Callable[..., None]) -> None:
        self.who = call["who"]
        self._asked, self._tell = asked, tell
        stage = load_stage(call["stage"])
        artifact = Artifact.from_json(call["artifact"])
        settings = stage.Settings.model_validate(call["settings"])
        self._session: Any = stage.open(settings, artifact, artifact.parts)

    def search(self, call: Mapping[str, Any]) -> Any:
        return [[asdict(p) for p in found] for found in self._session.search(call["queries"])]

    def generate(self, call: Mapping[str, Any]) -> Any:
        made = self._session.generate(
            call["prompts"],
            max_new_tokens=call["max_new_tokens"],
            batch=call["batch"],
            on_done=lambda count: self._tell(done=int(count)),
        )
        return [asdict(one) for one in made]

    def stream(self, call: Mapping[str, Any]) -> None:
        self._asked.stopped.clear()
        pieces = self._session.stream(call["prompt"], max_new_tokens=call["max_new_tokens"])
        with contextlib.closing(pieces) if hasattr(pieces, "close") else contextlib.nullcontext():
            for piece in pieces:
                self._tell(piece=str(piece))
                if self._asked.stopped.is_set():
                    return

    def loglikelihood(self, call: Mapping[str, Any]) -> Any:
        found = self._session.loglikelihood([(context, text) for context, text in call["items"]])
        return [{"total": float(one.total), "tokens": int(one.tokens)} for one in found]

    def close(self) -> None:
        self._session.close()


def _explain(error: Exception, who: str, what: str) -> KistackError:
    """The error to hand back: kistack's own as it is, any other with the names of stage and plugin."""
    if isinstance(error, KistackError):
        return error
    line = (str(error).strip().splitlines() or ["(no message)"])[0][:300]
    if isinstance(error, MemoryError):
        return StepFailed(f"{who} ran out of memory: {line}", "free some memory, or use a smaller model")
    return StepFailed(f"{who}: {what} raised {type(error).__name__}: {line}", "report it to the plugin's author")


def main(_arguments: list[str]) -> int:
    """Open what the first line of standard input names, and answer the calls that follow, until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    # ctrl-C is for whoever asks; this ends with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(**reply: Any) -> None:
        answers.write(json.dumps(reply).encode() + b"\n")
        answers.flush()

    asked = _Asked()
    served: _Served | None = None
    try:
        while (call := asked.next()) is not None:
            what = call["call"]
            try:
                if served is None:
                    served = _Served(call, asked, tell)
                    reply: dict[str, Any] = {"result": None}
                else:
                    reply = {"result": getattr(served, what)(call)}
            except BrokenPipeError:
                raise
            except Exception as error:  # noqa: BLE001 - a session may raise anything; the next call may do
                traceback.print_exc()
                who = str(call["who"]) if served is None else served.who
                reply = {"error": error_to_json(_explain(error, who, what))}
            # Counted before it is told: whoever asked may be gone as soon as it is heard.
            asked.done += 1
            tell(**reply)
        if served is not None:
            served.close()
    except BrokenPipeError:
        return _LEFT
    sys.stderr.flush()
    return 0
