"""Artifacts (what steps leave) and types (what is known of them before anything runs)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: The one registry of facet names. A facet is matched when composing, so a plugin must not invent its own.
FACETS: dict[str, str] = {
    "precision": "how weights are stored: fp32, fp16, bf16, int8, int4, … (16-bit and up count as unquantized)",
    "family": "model architecture family, as in the model's config: llama, qwen2, bert, …",
    "vocabulary": "identity of the tokenizer's vocabulary; equal strings mean token ids are interchangeable",
    "passages": "with or without: whether each pair carries retrieved passages",
    "fake_quantized": "yes where weights were trained under simulated quantization",
    "merged": "yes where an adapter was folded into its base",
    "content": "what texts hold: documents, questions, answers",
}

#: The files of artifacts that stages of several plugins read: documents; pairs and items; answers and their timings.
CORPUS_FILE = "corpus.jsonl"
PAIRS_FILE = "pairs.jsonl"
ANSWERS_FILE = "answers.jsonl"
SPEED_FILE = "speed.json"

UNQUANTIZED = "fp32|fp16|bf16"


@dataclass(frozen=True, slots=True)
class Opener:
    """Which stage opens an artifact, with which settings (a retriever its index, a runtime a model)."""

    stage: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Type:
    """A virtual artifact: all that composing needs to know of one.

    ``facts`` are numbers with fixed names: ``bytes``, ``params``, ``layers``, ``hidden``, ``heads``,
    ``kv_heads``, ``head_dim``, ``ffn``, ``vocab``, ``context`` (models), where known also ``tied``, ``gated``,
    ``headless`` (1 or 0) and ``encoder_layers``; ``count``, ``tokens`` (whole texts),
    ``prompt_tokens``, ``answer_tokens`` (means per item), ``passages`` (per query), ``passage_tokens``.
    ``identity`` names the content: the key of the output that made it, or of the scenario's input.
    ``needs`` are identities that must travel with it (an adapter's base).
    ``line`` is its line of descent: the names of the stages it came through, oldest first.
    ``serves`` is there only for a stage that is asked for its estimate, at a port that is opened for it: given a
    ``Load``, what the stage that opens it says of answering on the machine where the step runs.
    """

    kind: str
    format: str = ""
    facets: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    identity: str = ""
    needs: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    opener: Opener | None = None
    serves: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)

    def fact(self, name: str, default: float = 0.0) -> float:
        """One number of ``facts``."""
        return self.facts.get(name, default)

    def read(self, name: str) -> str:
        """The value that a port's ``where`` compares: the format, or a facet."""
        return self.format if name == "format" else self.facets.get(name, "")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished artifact: a folder in the store (or in a bundle) and what is known of it.

    ``key`` says how it was asked for, ``digest`` what its bytes are. ``requires`` are artifacts that must
    travel with it, in the order of ``Type.needs``; ``ports`` names them: the ports of its stage they came from.
    """

    kind: str
    format: str
    path: Path
    digest: str
    key: str
    facets: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    requires: tuple[Artifact, ...] = ()
    parents: tuple[str, ...] = ()
    opener: Opener | None = None
    ports: tuple[str, ...] = ()

    def fact(self, name: str, default: float = 0.0) -> float:
        """One number of ``facts``."""
        return self.facts.get(name, default)

    @property
    def parts(self) -> dict[str, Artifact]:
        """What must travel with it, by port name: the ``parts`` that ``Stage.open`` is given.

        Where a name comes twice (an adapter upon an adapter), the nearer one counts.
        """
        return dict(reversed(list(zip(self.ports, self.requires, strict=False))))

    def to_json(self) -> dict[str, Any]:
        """A JSON document that ``from_json`` reads back."""
        return {
            "kind": self.kind,
            "format": self.format,
            "path": str(self.path),
            "digest": self.digest,
            "key": self.key,
            "facets": dict(self.facets),
            "facts": dict(self.facts),
            "requires": [a.to_json() for a in self.requires],
            "parents": list(self.parents),
            "opener": None
            if self.opener is None
            else {"stage": self.opener.stage, "settings": dict(self.opener.settings)},
            "ports": list(self.ports),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Artifact:
        """The artifact that ``to_json`` wrote."""
        opener = document.get("opener")
        return cls(
            kind=document["kind"],
            format=document["format"],
            path=Path(document["path"]),
            digest=document["digest"],
            key=document["key"],
            facets=document["facets"],
            facts=document["facts"],
            requires=tuple(cls.from_json(d) for d in document["requires"]),
            parents=tuple(document["parents"]),
            opener=None if opener is None else Opener(opener["stage"], opener["settings"]),
            ports=tuple(document.get("ports", ())),
        )
