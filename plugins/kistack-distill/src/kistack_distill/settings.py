"""Settings of the stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kistack.plugins.stages import Settings

Dtype = Literal["auto", "bf16", "fp32"]
Passages = Literal["auto", "never", "require"]

_DTYPE = "number format to compute in; auto: bf16 where the processor multiplies it"
_LENGTH = "longer pairs (in tokens) are left out, not cut"
_TOGETHER = "tokens computed at once, padding counted; less needs less memory"
_PASSAGES = "whether the prompts show retrieved passages: auto where there are any"

Temperature = Annotated[float, Field(gt=0, le=100)]


class ResponseSettings(Settings):
    """How a student is made and taught."""

    student: Literal["layers", "given"] = Field(
        default="layers", description="layers: the teacher with fewer layers; given: the model in slot model"
    )
    keep_every: int = Field(default=2, ge=2, le=100, description="of the teacher's layers, keep one in so many")
    alpha: float = Field(
        default=0.2, ge=0, le=1, description="weight of the pairs' own answers; the rest goes to the teacher"
    )
    temperature: Temperature = Field(
        default=1.0, description="both distributions are flattened by it; above 1 unlikely tokens count for more"
    )
    positions: Literal["all", "answer"] = Field(
        default="all", description="where the student follows its teacher: in prompt and answer, or in the answer only"
    )
    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        default="auto", description="times each pair is seen; auto: so that about 1,000 examples are seen in all"
    )
    learning_rate: float = Field(default=5e-4, gt=0, le=1, description="highest learning rate, after warm-up")
    batch: int = Field(default=8, ge=1, le=4096, description="pairs per optimizer step")
    batch_tokens: int = Field(default=2048, ge=64, description=_TOGETHER)
    max_length: int = Field(default=1024, ge=16, description=_LENGTH)
    held_out: float = Field(
        default=0.1, gt=0, le=0.5, description="share of the pairs kept from training, to measure what was learned"
    )
    dtype: Dtype = Field(default="auto", description=_DTYPE)
    passages: Passages = Field(default="auto", description=_PASSAGES)
    recompute: bool = Field(
        default=False, description="compute activations twice to keep fewer of them: slower, less memory"
    )


class TopKSettings(Settings):
    """What is kept of a teacher's distributions."""

    k: int = Field(default=64, ge=1, le=4096, description="likeliest tokens kept at each position")
    temperatures: tuple[Temperature, ...] = Field(
        default=(1.0, 2.0, 4.0), min_length=1, description="temperatures at which a student may learn from them"
    )
    batch_tokens: int = Field(default=2048, ge=64, description=_TOGETHER)
    max_length: int = Field(default=1024, ge=16, description=_LENGTH)
    dtype: Dtype = Field(default="auto", description=_DTYPE)
    passages: Passages = Field(default="auto", description=_PASSAGES)
