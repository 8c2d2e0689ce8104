"""Retrieval out of Haystack 3 components: BM25, embedding, or both with reciprocal rank fusion."""
