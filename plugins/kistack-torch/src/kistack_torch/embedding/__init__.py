"""Texts to vectors with a sentence embedder from a local folder: what retrievers share. Light until it computes."""
