"""llama.cpp's server inside this process: started without a network port, asked through function calls."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kistack.errors import DataError, KistackError, ModelError
from kistack_gguf import native
from kistack_gguf.metadata import Metadata
from kistack_gguf.sizes import Sizes

#: Errors and nothing else are logged, and those to standard error.
_ERRORS_ONLY = 0
_TOO_LONG = "exceed_context_size_error"
_CACHE_FULL = "Context size has been exceeded"


class CacheFull(KistackError):
    """The prompts that are being answered together do not fit the cache together."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``prompt_seconds`` is the time until its first token."""

    text: str
    prompt_tokens: int
    new_tokens: int
    prompt_seconds: float


class Server:
    """A model being served. Close it, or it is closed when it is forgotten or the process ends.

    Raises:
        ModelError: the binding is missing, or llama.cpp cannot open the file.

    """

    def __init__(self, metadata: Metadata, sizes: Sizes) -> None:
        self._metadata = metadata
        self.sizes = sizes
        binding = native.load(native.SERVER)
        folder = tempfile.mkdtemp(prefix="kistack-llamacpp-")
        held: list[Any] = []
        self._finish = weakref.finalize(self, _stop, held, folder)
        with native.kept_signals():
            try:
                held.append(binding.Server(_parameters(binding, metadata.path, sizes, Path(folder))))
            except RuntimeError as e:
                self._finish()
                raise ModelError(
                    f"{metadata.path}: llama.cpp cannot open it",
                    "the file may be damaged or need a newer llama.cpp: export or fetch it again",
                ) from e
        self._held = held

    def complete(self, text: str, limit: int) -> Reply:
        """The greedy continuation of a rendered prompt, at most ``limit`` tokens.

        Raises:
            DataError: the prompt is longer than the context.
            CacheFull: it does not fit beside those being answered at the same time.

        """
        answer = self._held[0].handle_completions(self._request(text, limit))
        if "choices" not in answer:
            raise _error(answer)
        return _reply(answer, answer["choices"][0]["text"])

    def stream(self, text: str, limit: int, take: Callable[[str], bool]) -> Reply:
        """As ``complete``; ``take`` is given each piece and returns True to stop early."""
        pieces: list[str] = []
        last: dict[str, Any] = {}
        failed: list[Mapping[str, Any]] = []

        def receive(event: Mapping[str, Any]) -> bool:
            if "choices" not in event:
                failed.append(event)
                return True
            last.update(event)
            piece = event["choices"][0]["text"]
            pieces.append(piece)
            return bool(piece) and take(piece)

        self._held[0].handle_completions({**self._request(text, limit), "stream": True}, receive)
        if failed:
            raise _error(failed[0])
        return _reply(last, "".join(pieces))

    def _request(self, text: str, limit: int) -> dict[str, Any]:
        begin = self._metadata.token("bos")
        if self._metadata.flag("add_bos_token") and begin and text.startswith(begin):
            text = text[len(begin) :]  # llama.cpp puts it there itself
        return {
            "prompt": text,
            "max_tokens": limit,
            "temperature": 0.0,
            "top_k": 1,
            "samplers": ["top_k"],
            "repeat_penalty": 1.0,
            "cache_prompt": True,
        }

    def close(self) -> None:
        """Stop the server and its threads and free the model; a second call does nothing."""
        self._finish()


def _stop(held: list[Any], folder: str) -> None:
    held.clear()  # the binding stops its threads when its object goes
    shutil.rmtree(folder, ignore_errors=True)


def _parameters(binding: Any, path: Path, sizes: Sizes, folder: Path) -> Any:
    p = binding.CommonParams()
    p.model.path = str(path)
    p.n_ctx = sizes.cache
    p.kv_unified = True
    p.kv_unified_per_slot = sizes.context
    p.n_parallel = sizes.parallel
    p.n_batch = p.n_ubatch = sizes.batch
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = sizes.threads
    # the binding insists on listening: on a socket in a folder of this user's own, behind a key nobody knows
    with contextlib.suppress(AttributeError):  # releases before 2026 have one host name
        p.hostnames = [str(folder / "s.sock")]
    p.api_keys = [secrets.token_hex(16)]
    p.n_threads_http = 1
    p.endpoint_slots = p.endpoint_props = p.endpoint_metrics = False
    p.ui = False
    p.verbosity = _ERRORS_ONLY
    # the caches below keep copies of prompts in memory, which answers to ever new questions do not reuse
    p.cache_ram_mib = 0
    p.n_ctx_checkpoints = 0
    p.fit_params = False
    return p


def _reply(answer: Mapping[str, Any], text: str) -> Reply:
    usage, timings = answer.get("usage", {}), answer.get("timings", {})
    return Reply(
        text=text,
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        new_tokens=int(usage.get("completion_tokens", 0)),
        prompt_seconds=float(timings.get("prompt_ms", 0.0)) / 1000,
    )


def _error(answer: Mapping[str, Any]) -> KistackError:
    found = answer.get("error", answer)
    message = str(found.get("message", found))
    if found.get("type") == _TOO_LONG:
        return DataError(
            f"a prompt of {found.get('n_prompt_tokens')} tokens does not fit the context of {found.get('n_ctx')}",
            "raise the runtime's setting `context`, or retrieve fewer passages",
        )
    if _CACHE_FULL in message:
        return CacheFull(message, "answer fewer prompts at once")
    return KistackError(f"llama.cpp could not answer: {message}", "open the model again")
