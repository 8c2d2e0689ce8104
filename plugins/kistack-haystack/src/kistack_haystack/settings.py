"""How documents become passages, how passages are found, and how many a question gets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kistack.plugins.stages import Settings

Method = Literal["auto", "bm25", "embedding", "hybrid"]


class RetrieverSettings(Settings):
    """Settings of ``retrieve/haystack``; where Haystack has a parameter for it, the name is Haystack's."""

    method: Method = Field(
        default="auto",
        description="how passages are found: by words (bm25, needs no model), by meaning (embedding) or both (hybrid); "
        "auto is hybrid where there is an embedder, else bm25",
    )
    top_k: int = Field(default=3, ge=1, le=50, description="passages put into the prompt")
    split_by: Literal["recursive", "word", "line", "passage", "page"] = Field(
        default="recursive",
        description="where documents are cut: recursive (paragraphs, else lines, sentences, words, as large as fit) or "
        "every split_length words, lines, passages (blank line between) or pages (form feed between)",
    )
    split_length: int = Field(
        default=150, ge=1, le=10_000, description="longest passage, in words (recursive, word) or units of split_by"
    )
    split_overlap: int = Field(
        default=0, ge=0, le=5_000, description="words or units of split_by that neighbouring passages share"
    )
    clean: bool = Field(default=False, description="remove repeated spaces and empty lines before documents are cut")
    title: Literal["search", "text", "none"] = Field(
        default="search",
        description="where the document's title goes: before the text that is searched, into the passage that is shown "
        "too, or nowhere",
    )
    bm25_algorithm: Literal["BM25L", "BM25Okapi", "BM25Plus"] = Field(
        default="BM25L", description="which BM25 scores words"
    )
    bm25_k1: float = Field(
        default=1.5, ge=0, le=10, description="how much a word counts that comes again in a passage (0: nothing)"
    )
    bm25_b: float = Field(
        default=0.75, ge=0, le=1, description="share of the penalty on passages longer than the mean, 0 to 1"
    )
    bm25_weight: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of BM25 in the fused ranks of hybrid, 0 to 1; the rest is embedding's",
    )
    candidates: int = Field(
        default=30, ge=1, le=1_000, description="passages that each of the two methods of hybrid hands to the fusion"
    )
    batch: int = Field(default=32, ge=1, le=1024, description="passages embedded at once")

    @model_validator(mode="after")
    def _overlap_is_smaller(self) -> RetrieverSettings:
        if self.split_overlap >= self.split_length:
            raise ValueError(
                f"split_overlap {self.split_overlap} must be smaller than split_length {self.split_length}"
            )
        return self

    @property
    def embeds(self) -> bool:
        """Whether passages are found by meaning, so that an embedder is needed."""
        return self.method in {"embedding", "hybrid"}

    @property
    def counts_words(self) -> bool:
        """Whether passages are found by their words."""
        return self.method in {"bm25", "hybrid"}
