"""What can be set. One declaration gives validation, the command line, forms and documentation."""

from __future__ import annotations

from pydantic import Field

from kistack.plugins.stages import Settings
from kistack_gguf.kinds import KINDS, Kind, KindName


class GgufSettings(Settings):
    """How weights are stored."""

    kind: KindName = Field(
        default="Q8_0", description="how weights are stored: Q8_0 is the safe choice, F16 is lossless"
    )
    tolerance: float = Field(
        default=0.0,
        ge=0.0,
        description="largest mean KL divergence from the source, nats per token; 0 takes the kind's own",
    )

    @property
    def spec(self) -> Kind:
        """The kind that is named."""
        return KINDS[self.kind]


class LlamaCppSettings(Settings):
    """How llama.cpp serves a model."""

    threads: int = Field(default=0, ge=0, le=1024, description="threads to compute with; 0 takes every physical core")
    context: int = Field(default=2048, ge=64, le=1 << 20, description="longest prompt and answer together, in tokens")
    parallel: int = Field(default=4, ge=1, le=64, description="prompts answered at once when several are given")
    batch: int = Field(default=512, ge=32, le=8192, description="prompt tokens computed at once")
