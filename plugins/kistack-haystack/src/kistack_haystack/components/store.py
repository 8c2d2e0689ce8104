"""A document store of Haystack that lies in a folder.

Three files whose bytes depend on their content only:

- ``documents.json``: the passages, as ``InMemoryDocumentStore`` saves itself, so that Haystack alone can open it too
  (``InMemoryDocumentStore.load_from_disk``), but without embeddings, which it would spell out in decimal digits;
- ``vectors.npy``: float32 (n, d), one row per passage in the same order, mapped into memory; only where there are any;
- ``index.json``: what the rest is checked against.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from haystack import Document
from haystack.core.serialization import generate_qualified_class_name
from haystack.document_stores.in_memory import InMemoryDocumentStore
from numpy.typing import NDArray

from kistack.errors import StoreError
from kistack_haystack.settings import RetrieverSettings

SCHEMA = 1
DOCUMENTS_FILE, VECTORS_FILE, INDEX_FILE = "documents.json", "vectors.npy", "index.json"

#: Scores are rounded to this many decimals before they are ranked: vectors computed alone and in a batch differ in the
#: seventh decimal, and near ties would come out in another order from one call to the next.
DECIMALS = 5

#: Haystack's own default is a new random name each time, which would be in the file.
_NAME = "kistack"
#: What Haystack asks of every passage before it scores words; all of them have content.
_HAS_CONTENT = {"field": "content", "operator": "!=", "value": None}

Floats = NDArray[np.float32]


class FolderDocumentStore(InMemoryDocumentStore):  # type: ignore[misc]  # Haystack is not type-checked here
    """An ``InMemoryDocumentStore`` whose embeddings, once it is read from a folder, are rows of one mapped matrix.

    Haystack keeps each embedding as a list of Python floats, 30 bytes a number, and makes a matrix of all of them for
    every question.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(index=_NAME, shared=False, embedding_similarity_function="dot_product", **parameters)
        self.about: dict[str, Any] = {}
        self.vectors: Floats | None = None

    @classmethod
    def for_settings(cls, settings: RetrieverSettings) -> FolderDocumentStore:
        """An empty store that scores words as the settings say."""
        parameters = {"k1": settings.bm25_k1, "b": settings.bm25_b}
        return cls(bm25_algorithm=settings.bm25_algorithm, bm25_parameters=parameters)

    def write(self, folder: Path, about: Mapping[str, Any]) -> int:
        """Write what was written into the store into an existing folder; returns the bytes. ``about`` is kept too."""
        documents = list(self.storage.values())
        files = [DOCUMENTS_FILE, INDEX_FILE]
        dimension = 0
        if documents and documents[0].embedding is not None:
            vectors = np.array([d.embedding for d in documents], dtype=np.float32)
            np.save(folder / VECTORS_FILE, vectors, allow_pickle=False)
            files.append(VECTORS_FILE)
            dimension = int(vectors.shape[1])
        head = {**self.to_dict(), "type": generate_qualified_class_name(InMemoryDocumentStore)}
        rows = (json.dumps(replace(d, embedding=None).to_dict(flatten=False), **_JSON) for d in documents)
        text = json.dumps(head, **_JSON).removesuffix("}") + ', "documents": [\n' + ",\n".join(rows) + "\n]}\n"
        (folder / DOCUMENTS_FILE).write_text(text, encoding="utf-8", newline="\n")
        described = {**about, "schema": SCHEMA, "passages": len(documents), "dimension": dimension}
        (folder / INDEX_FILE).write_text(json.dumps(described, sort_keys=True, indent=1) + "\n", encoding="utf-8")
        return sum((folder / name).stat().st_size for name in files)

    @classmethod
    def read(cls, folder: Path) -> FolderDocumentStore:
        """The store that was written into ``folder``.

        Raises:
            StoreError: a file is missing or damaged, or they do not belong together.

        """
        try:
            about = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            if about["schema"] > SCHEMA:
                raise StoreError(f"{folder}: this index was made by a newer version", "update kistack-haystack")
            data = json.loads((folder / DOCUMENTS_FILE).read_text(encoding="utf-8"))
            given = data["init_parameters"]
            store = cls(bm25_algorithm=given["bm25_algorithm"], bm25_parameters=given["bm25_parameters"])
            store.write_documents([Document.from_dict(row) for row in data["documents"]])
            store.about = about
            if about["dimension"]:
                store.vectors = np.load(folder / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _damaged(folder, str(error)) from error
        expected = (about["passages"], about["dimension"])
        found = (len(store.storage), 0) if store.vectors is None else store.vectors.shape
        if found != expected or len(store.storage) != about["passages"]:
            raise _damaged(folder, "its files do not belong together")
        return store

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As Haystack's, without looking at every passage where none can fail."""
        found: list[Document] = super().filter_documents(None if filters == _HAS_CONTENT else filters)
        return found

    def embedding_retrieval(
        self, query_embedding: list[float], filters: dict[str, Any] | None = None, top_k: int = 10, **more: Any
    ) -> list[Document]:
        """The ``top_k`` passages of the largest dot product, best first, equal ones in the order of the documents.

        Raises:
            StoreError: the vectors have another length than the question's.

        """
        if self.vectors is None or filters:
            kept: list[Document] = super().embedding_retrieval(query_embedding, filters, top_k, **more)
            return kept
        if len(query_embedding) != self.vectors.shape[1]:
            raise StoreError(
                f"its vectors have {self.vectors.shape[1]} dimensions, the embedder's {len(query_embedding)}",
                "open it with its own embedder, or index again",
            )
        scores = np.round(self.vectors @ np.asarray(query_embedding, dtype=np.float32), DECIMALS)
        documents = list(self.storage.values())
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [replace(documents[n], score=float(scores[n])) for n in best]


_JSON: dict[str, Any] = {"ensure_ascii": False, "sort_keys": True}


def _damaged(folder: Path, reason: str) -> StoreError:
    return StoreError(f"{folder}: the index cannot be read ({reason})", "remove it and run the retrieval step again")
