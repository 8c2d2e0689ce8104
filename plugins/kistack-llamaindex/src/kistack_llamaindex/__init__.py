"""Retrieval: documents cut into LlamaIndex nodes, embedded, stored on disk, searched exactly."""
