"""How documents become passages, and how many passages a question gets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kistack.plugins.stages import Settings


class RetrieverSettings(Settings):
    """Settings of ``retrieve/llamaindex``; tokens are those of the embedder."""

    top_k: int = Field(default=3, ge=1, le=50, description="passages put into the prompt")
    chunk_tokens: int = Field(
        default=256, ge=16, le=8192, description="longest passage, in tokens; never longer than the embedder reads"
    )
    overlap: int = Field(default=32, ge=0, le=4096, description="tokens that neighbouring passages share at most")
    title: Literal["embedding", "text", "none"] = Field(
        default="embedding",
        description="where the document's title goes: into what is embedded, into the passage's text too, or nowhere",
    )
    batch: int = Field(default=32, ge=1, le=1024, description="passages embedded at once")

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> RetrieverSettings:
        if self.overlap >= self.chunk_tokens:
            raise ValueError(f"overlap {self.overlap} must be smaller than chunk_tokens {self.chunk_tokens}")
        return self
