"""An opened GGUF model: answers through llama.cpp's server, log-likelihoods through its logits."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from kistack.domain.prompt import Prompt
from kistack.errors import ModelError
from kistack.plugins.sessions import Completion, LogLikelihood
from kistack_gguf import native
from kistack_gguf.chat import ChatTemplate
from kistack_gguf.metadata import Metadata, read_metadata
from kistack_gguf.scoring import LogitModel, log_softmax
from kistack_gguf.server import CacheFull, Reply, Server
from kistack_gguf.settings import LlamaCppSettings
from kistack_gguf.sizes import Sizes, needed_bytes

#: Bytes of text per token at the least that is seen with passages in one of the large languages; only used to choose
#: how many prompts share the cache, what does not fit is answered alone.
_BYTES_PER_TOKEN = 2.5


class LlamaCppSession:
    """A ``kistack.plugins.sessions.ModelSession`` over one ``.gguf`` file.

    Raises:
        ModelError: the file is no readable GGUF, does not fit the free memory, or llama.cpp refuses it.

    """

    def __init__(self, path: Path, settings: LlamaCppSettings) -> None:
        self._path = path
        metadata = self._metadata = read_metadata(path)
        trained = int(metadata.number("context_length")) or settings.context
        self._sizes = Sizes(
            context=min(settings.context, trained),
            parallel=settings.parallel,
            batch=settings.batch,
            threads=settings.threads or native.cores(),
        )
        _check_memory(metadata, self._sizes)
        self._chat = ChatTemplate(metadata)
        self._server = Server(metadata, self._sizes)
        self._scorer: LogitModel | None = None

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        batch: int = 0,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Greedy answers in the order of ``prompts``, ``batch`` of them at once, at most as many as the settings say.

        0 is one at a time: what is computed together depends on when it arrives, the last digits on what is computed
        together, and now and then a word on those. So the same prompts get the same answers on a busy machine too.

        ``seconds`` of an answer given alone is its latency, of one among several its share of the time for all.

        Raises:
            DataError: a prompt is longer than the context.

        """
        texts = [self._chat.render(p) for p in prompts]
        done = on_done or (lambda _count: None)
        start = time.perf_counter()
        workers = self._workers(texts, max_new_tokens, batch)
        if workers == 1:
            return self._one_by_one(texts, max_new_tokens, done, sort=not batch)
        replies = self._together(texts, max_new_tokens, workers, done)
        share = (time.perf_counter() - start) / max(1, len(texts))
        return [_completion(r, share) for r in replies]

    def _workers(self, texts: Sequence[str], limit: int, batch: int) -> int:
        """How many prompts to answer at once, so that the longest of them fit the cache together."""
        longest = max((len(t.encode()) for t in texts), default=0) / _BYTES_PER_TOKEN + limit
        return max(1, min(batch or 1, self._sizes.parallel, int(self._sizes.cache / longest)))

    def _one_by_one(
        self, texts: Sequence[str], limit: int, on_done: Callable[[int], None], *, sort: bool
    ) -> list[Completion]:
        completions: dict[int, Completion] = {}
        for number in _alike(texts) if sort else range(len(texts)):
            start = time.perf_counter()
            reply = self._server.complete(texts[number], limit)
            completions[number] = _completion(reply, time.perf_counter() - start, reply.prompt_seconds)
            on_done(len(completions))
        return [completions[n] for n in range(len(texts))]

    def _together(self, texts: Sequence[str], limit: int, workers: int, on_done: Callable[[int], None]) -> list[Reply]:
        replies: dict[int, Reply] = {}
        crowded: list[int] = []
        pool = ThreadPoolExecutor(workers, thread_name_prefix="kistack-llamacpp")
        try:
            running: dict[Future[Reply], int] = {
                pool.submit(self._server.complete, texts[i], limit): i for i in _alike(texts)
            }
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    number = running.pop(future)
                    try:
                        replies[number] = future.result()
                    except CacheFull:
                        crowded.append(number)
                    else:
                        on_done(len(replies))
        finally:
            pool.shutdown(cancel_futures=True)
        for number in crowded:
            replies[number] = self._server.complete(texts[number], limit)
            on_done(len(replies))
        return [replies[i] for i in range(len(texts))]

    def stream(self, prompt: Prompt, *, max_new_tokens: int) -> Iterator[str]:
        """Pieces of one greedy answer as they come; leaving the loop early stops the model.

        Raises:
            DataError: the prompt is longer than the context.

        """
        text = self._chat.render(prompt)
        pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def take(piece: str) -> bool:
            pieces.put(piece)
            return stopped.is_set()

        def work() -> None:
            try:
                self._server.stream(text, max_new_tokens, take)
            except BaseException as e:  # noqa: BLE001 - raised again by the thread that reads
                pieces.put(e)
            else:
                pieces.put(None)

        worker = threading.Thread(target=work, name="kistack-llamacpp-stream")
        worker.start()
        try:
            begun, held = False, ""
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                # joined, the pieces are what ``generate`` gives: blanks at the ends are not part of it
                text = held + piece if begun else piece.lstrip()
                shown = text.rstrip()
                held = text[len(shown) :]
                begun = begun or bool(shown)
                if shown:
                    yield shown
        finally:
            stopped.set()
            worker.join()

    def loglikelihood(self, items: Sequence[tuple[Prompt | str, str]]) -> list[LogLikelihood]:
        """For each (context, continuation) the log-likelihood of the continuation's tokens, in nats.

        After a chat the continuation is tokenized apart, as in training; after raw text together with it, unless a
        token reached across the border. A text longer than the context is scored in windows that overlap by half.

        Raises:
            ModelError: the binding that gives logits is not installed.

        """
        if self._scorer is None:
            self._scorer = LogitModel(self._path, context=self._sizes.context, threads=self._sizes.threads)
        return [self._score(self._scorer, *self._split(self._scorer, context, said)) for context, said in items]

    def _split(self, scorer: LogitModel, context: Prompt | str, said: str) -> tuple[list[int], int]:
        """All token ids, and the place of the first one to score."""
        if not isinstance(context, str):
            head = scorer.tokenize(self._chat.render(context))
            return head + scorer.tokenize(said), len(head)
        bos = self._metadata.values.get("tokenizer.ggml.bos_token_id")
        begin = [int(bos)] if bos is not None and self._metadata.flag("add_bos_token") else []
        if not context:
            return begin + scorer.tokenize(said), len(begin) + 1
        head, whole = scorer.tokenize(context), scorer.tokenize(context + said)
        if whole[: len(head)] != head:
            whole = head + scorer.tokenize(said)
        return begin + whole, len(begin) + len(head)

    def _score(self, scorer: LogitModel, ids: list[int], first: int) -> LogLikelihood:
        count, limit, total, place = len(ids), self._sizes.context, 0.0, first
        while place < count:
            end = min(count, max(limit, place + limit // 2))
            begin = max(0, end - limit)
            expected = log_softmax(scorer.logits(ids[begin : end - 1], place - 1 - begin))
            total += float(expected[np.arange(end - place), ids[place:end]].sum())
            place = end
        return LogLikelihood(total, max(0, count - first))

    def close(self) -> None:
        """Stop the server, its threads and the scorer; a second call does nothing."""
        self._server.close()
        if self._scorer is not None:
            self._scorer.close()
            self._scorer = None


def _alike(texts: Sequence[str]) -> list[int]:
    """The numbers of texts, those that begin alike beside each other: a slot finds much of the next in its cache."""
    return sorted(range(len(texts)), key=lambda i: texts[i])


def _completion(reply: Reply, seconds: float, first: float = 0.0) -> Completion:
    return Completion(reply.text.strip(), reply.prompt_tokens, reply.new_tokens, seconds, first)


def _check_memory(metadata: Metadata, sizes: Sizes) -> None:
    needed = needed_bytes(
        metadata.path.stat().st_size,
        metadata.cache_bytes_per_token,
        metadata.number("embedding_length"),
        metadata.vocabulary,
        sizes,
    )
    free = native.free_memory()
    if needed > free:
        raise ModelError(
            f"{metadata.path}: serving it takes {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free",
            "lower the runtime's `context` or `parallel`, or quantize to fewer bits",
        )
