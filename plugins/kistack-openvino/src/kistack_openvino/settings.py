"""What can be set. One declaration gives validation, the command line, forms and documentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kistack.plugins.stages import Settings
from kistack_openvino.kinds import KINDS, Kind, KindName


class QuantizerSettings(Settings):
    """How weights are stored."""

    kind: KindName = Field(
        default="int8", description="bits of a layer's weights: int8 is the safe choice, int4 the small one"
    )
    group: Literal[32, 64, 128] = Field(
        default=64, description="weights of a row that share one scale, in number; used by int4 alone"
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


class RuntimeSettings(Settings):
    """How OpenVINO serves a model."""

    threads: int = Field(default=0, ge=0, le=1024, description="threads to compute with; 0 lets OpenVINO choose")
    batch: int = Field(default=8, ge=1, le=256, description="prompts answered at once when several are given")
    precision: Literal["auto", "fp32"] = Field(
        default="auto", description="number format to compute in; auto is bf16 where the processor multiplies it"
    )
    cache: Literal["int8", "fp16"] = Field(
        default="int8", description="number format of the key and value cache; int8 halves its memory"
    )
