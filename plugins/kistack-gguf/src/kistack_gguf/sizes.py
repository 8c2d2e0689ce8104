"""How much a served model takes: the same arithmetic for advice and for the refusal before loading."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes a served model takes beside its file, cache and buffers: the library, a tokenizer of 49,152 tokens. Measured:
#: 329 MB in all, 43 MB of them Python's, for a Q8_0 file of 145 MB with a cache of 82 MB.
_RUNTIME_BYTES = 40e6
#: Floats that the buffers hold per token of a batch, as multiples of the hidden size.
_BUFFER_WIDTHS = 12
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


def needed_bytes(file_bytes: float, cache_per_token: float, hidden: float, vocabulary: float, sizes: Sizes) -> float:
    """Resident bytes of a served model: runtime, file, key and value cache, buffers and logits in fp32."""
    buffers = 4 * (_BUFFER_WIDTHS * sizes.batch * hidden + sizes.parallel * vocabulary)
    return _RUNTIME_BYTES + file_bytes + cache_per_token * sizes.cache + buffers
