"""Settings of the stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from kistack.plugins.stages import Settings

#: Projections by group, as models of the Llama family name them; ``all-linear`` is every linear layer but the head.
TARGET_GROUPS: dict[str, tuple[str, ...]] = {
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}


class LoraSettings(Settings):
    """How an adapter is trained."""

    rank: int = Field(default=16, ge=1, le=512, description="rank of the update of each weight matrix")
    alpha: float = Field(default=32.0, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of an adapter's inputs dropped while training")
    targets: str = Field(
        default="all-linear", description="which matrices: all-linear, attention, mlp, or names joined by commas"
    )
    epochs: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        default="auto", description="times each pair is seen; auto: so that about 600 examples are seen in all"
    )
    learning_rate: float = Field(default=5e-4, gt=0, le=1, description="highest learning rate, after warm-up")
    batch: int = Field(default=8, ge=1, le=4096, description="pairs per optimizer step")
    batch_tokens: int = Field(
        default=2048, ge=64, description="tokens computed at once, padding counted; less needs less memory"
    )
    max_length: int = Field(default=1024, ge=16, description="longer pairs (in tokens) are left out, not cut")
    dtype: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", description="number format of the frozen weights; auto: bf16 where the processor multiplies it"
    )
    passages: Literal["auto", "never", "require"] = Field(
        default="auto", description="whether to learn from prompts with retrieved passages: where there are any"
    )
    recompute: bool = Field(
        default=False, description="compute activations twice to keep fewer of them: slower, less memory"
    )

    @field_validator("targets")
    @classmethod
    def _named_targets(cls, value: str) -> str:
        if value not in TARGET_GROUPS and value != "all-linear" and not all(n.strip() for n in value.split(",")):
            raise ValueError("all-linear, attention, mlp, or names joined by commas (q_proj,v_proj)")
        return value


class MergeSettings(Settings):
    """How an adapter is folded into its base."""

    tolerance: float = Field(
        default=0.01, gt=0, description="largest mean KL divergence (nats per token) that merging may cause"
    )
