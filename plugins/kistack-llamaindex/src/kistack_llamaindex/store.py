"""An embedded vector store on disk: every search looks at every vector, so nothing is missed.

A folder of three files whose bytes depend on their content only:

- ``vectors.npy``: float32 (n, d), one row per passage, mapped into memory when opened;
- ``passages.jsonl``: the passages in the same order, read one by one when found;
- ``index.json``: what the rest is checked against.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kistack.domain.prompt import Passage
from kistack.errors import StoreError

SCHEMA = 1
VECTORS_FILE, PASSAGES_FILE, INDEX_FILE = "vectors.npy", "passages.jsonl", "index.json"

#: Scores are rounded to this many decimals before they are ranked. Vectors computed alone and in a batch differ in
#: the seventh decimal; without rounding, near ties would come out in another order from one call to the next.
DECIMALS = 5
#: Queries compared with all passages at once; bounds the score matrix.
_BLOCK = 64

Floats = NDArray[np.float32]


def write_store(folder: Path, passages: Sequence[Mapping[str, Any]], vectors: Floats, about: Mapping[str, Any]) -> int:
    """Write ``passages`` and their ``vectors`` (n, d) into an existing folder; returns the bytes written.

    A passage is an object with at least id, document and text; ``about`` is kept in ``index.json``.
    """
    np.save(folder / VECTORS_FILE, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
    with (folder / PASSAGES_FILE).open("w", encoding="utf-8", newline="\n") as out:
        for passage in passages:
            out.write(json.dumps(passage, ensure_ascii=False, sort_keys=True) + "\n")
    document = {**about, "schema": SCHEMA, "passages": len(passages), "dimension": int(vectors.shape[1])}
    (folder / INDEX_FILE).write_text(json.dumps(document, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    return sum((folder / name).stat().st_size for name in (VECTORS_FILE, PASSAGES_FILE, INDEX_FILE))


class VectorStore:
    """An opened store.

    Raises:
        StoreError: a file is missing or damaged, or they do not belong together.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.about: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            if self.about["schema"] > SCHEMA:
                raise StoreError(f"{folder}: this index was made by a newer version", "update kistack-llamaindex")
            self.vectors: Floats = np.load(folder / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
            with (folder / PASSAGES_FILE).open("rb") as file:
                self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._bounds = _line_bounds(self._lines)
            shape = (self.about["passages"], self.about["dimension"])
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, str(error)) from error
        if (
            self.vectors.shape != shape
            or self.vectors.dtype != np.float32
            or len(self._bounds) != len(self.vectors) + 1
        ):
            raise _damaged(folder, "its files do not belong together")

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        return int(self.vectors.shape[1])

    def search(self, queries: Floats, top_k: int) -> list[list[Passage]]:
        """For each query vector (q, d) the ``top_k`` passages of the largest dot product, best first.

        Equal scores come in the order of the documents.
        """
        found: list[list[Passage]] = []
        for start in range(0, len(queries), _BLOCK):
            scores = np.round(queries[start : start + _BLOCK] @ self.vectors.T, DECIMALS)
            found += [[self.passage(int(n), float(row[n])) for n in best(row, top_k)] for row in scores]
        return found

    def passage(self, number: int, score: float = 0.0) -> Passage:
        """The passage in row ``number``."""
        start, end = self._bounds[number], self._bounds[number + 1]
        try:
            row = json.loads(self._lines[start:end])
            return Passage(row["id"], row["text"], row["document"], row.get("title", ""), score)
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self.folder, f"passage {number}: {error!r}") from error

    def close(self) -> None:
        """Unmap the passages; nothing can be searched any more."""
        self._lines.close()


def best(scores: Floats, top_k: int) -> NDArray[np.int64]:
    """Positions of the ``top_k`` largest of ``scores`` (n,), largest first, equal ones in their order."""
    if top_k < len(scores):
        least = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        candidates = np.flatnonzero(scores >= least)
    else:
        candidates = np.arange(len(scores))
    ranked: NDArray[np.int64] = candidates[np.argsort(-scores[candidates], kind="stable")][:top_k]
    return ranked


def _line_bounds(lines: mmap.mmap) -> NDArray[np.int64]:
    """Where each line of the file begins, and where the last one ends."""
    ends = np.flatnonzero(np.frombuffer(lines, dtype=np.uint8) == ord("\n")) + 1
    bounds: NDArray[np.int64] = np.concatenate([[0], ends])
    return bounds


def _damaged(folder: Path, reason: str) -> StoreError:
    return StoreError(f"{folder}: the index cannot be read ({reason})", "remove it and run the retrieval step again")
