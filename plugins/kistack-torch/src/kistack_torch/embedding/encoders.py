"""Choosing what computes an embedder's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kistack_torch.embedding.batching import Vectors
from kistack_torch.embedding.bert import BertEncoder, is_supported
from kistack_torch.embedding.estimates import MANY_TEXTS
from kistack_torch.embedding.layout import Layout, Role, read_layout


class Encoder(Protocol):
    """An embedder that turns texts into vectors."""

    layout: Layout
    #: Most tokens it reads, special ones included.
    length: int

    @property
    def room(self) -> int:
        """Most tokens of a passage that it reads, its special tokens and prompt apart."""
        ...

    def tokens(self, text: str) -> list[int]:
        """The token ids of ``text`` without special tokens, uncut."""
        ...

    def encode(self, texts: Sequence[str], role: Role = "passage", *, batch: int = 32) -> Vectors:
        """Vectors (n, d) of ``texts`` in their order."""
        ...


def open_encoder(folder: Path, texts: int = 1) -> Encoder:
    """The embedder of a local folder, computed by whatever takes least for about ``texts`` texts.

    Raises:
        ModelError: the folder cannot be read, or holds an embedder that cannot be used here.

    """
    layout = read_layout(folder)
    if texts < MANY_TEXTS and is_supported(layout):
        return BertEncoder(layout)
    from kistack_torch.embedding.encoder import SentenceEncoder

    return SentenceEncoder(folder)
