"""What embedding costs, for retrievers' estimates. Light: no numpy, no torch. Constants measured on 2 x86-64 cores."""

from __future__ import annotations

from kistack.domain.artifacts import Type
from kistack.domain.facts import Profile
from kistack.plugins.costs import Machine, embed_seconds

#: Texts from which it is worth 5 s to start torch and transformers: as fast on CPU cores, many times on a GPU.
MANY_TEXTS = 20_000
#: Seconds and resident bytes that torch and transformers add.
TORCH_SECONDS, TORCH_BYTES = 5.0, 0.25e9
#: Share of the embedder's file that is ever read: of the vocabulary, only the rows that occur.
EMBEDDER_SHARE = 0.7

#: Tokens of a question, and seconds of its forward pass that are not arithmetic.
_QUERY_TOKENS, _CALL_SECONDS = 18.0, 3e-3
#: An embedder nobody has looked at (MiniLM-L6).
_ASSUMED = {"params": 22.7e6, "hidden": 384.0, "vocab": 30522.0, "bytes": 91e6}


def complete(embedder: Type) -> Type:
    """The embedder with the figures of a small one where it has none."""
    return Type(embedder.kind, embedder.format, embedder.facets, {**_ASSUMED, **embedder.facts})


def embedder_of(profile: Profile) -> Type:
    """The profile's embedder, with the figures of a small one where it has none."""
    facts = {name: profile.number(f"embedder.{name}") for name in _ASSUMED}
    return complete(Type("embedder", "", {}, {name: value for name, value in facts.items() if value}))


def needs_torch(family: str, texts: float) -> bool:
    """Whether vectors are computed with torch; an architecture nobody named is taken for BERT."""
    return texts >= MANY_TEXTS or family not in {"", "bert"}


def query_seconds(embedder: Type, machine: Machine) -> float:
    """Seconds to turn one question into a vector; ``embedder`` is ``complete``."""
    # It keeps one core busy.
    share = 1 if machine.gpus else machine.cores
    return _CALL_SECONDS + embed_seconds(embedder, _QUERY_TOKENS, machine) * share
