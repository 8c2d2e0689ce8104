"""How much a served model takes: the same arithmetic for advice and for the refusal before loading."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes a served model takes beside its file, cache and buffers: code, tokenizer, threads. Measured with 49,152 tokens.
RUNTIME_BYTES = 90e6
#: The smallest share of the cache that a prompt answered beside others may count on, in tokens.
_LEAST_SHARE = 64


@dataclass(frozen=True, slots=True)
class Sizes:
    """How a model is served: ``cache`` tokens are shared by ``parallel`` prompts, each may take ``context`` of them.

    ``batch`` are the prompt tokens computed at once.
    """

    context: int
    parallel: int
    batch: int
    threads: int

    @property
    def cache(self) -> int:
        """Tokens in the cache: one prompt may be as long as the context, the others count on a quarter of it."""
        return self.context + (self.parallel - 1) * max(_LEAST_SHARE, self.context // 4)


def needed_bytes(file_bytes: float, cache_per_token: float, vocabulary: float, sizes: Sizes) -> float:
    """Resident bytes of a served model: runtime, file, key and value cache, and the logits of one batch in fp32."""
    return RUNTIME_BYTES + file_bytes + cache_per_token * sizes.cache + 4 * sizes.batch * vocabulary
