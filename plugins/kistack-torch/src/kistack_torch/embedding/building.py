"""Building an index: resumable after a kill, with the same bytes as without one."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

#: In the step's scratch folder: finished vectors in the order they are computed, and what they are of.
_VECTORS_FILE, _PLAN_FILE = "vectors.f32", "plan.json"


def embed_resumably(
    texts: Sequence[str],
    order: Sequence[int],
    embed: Callable[[list[str]], Vectors],
    *,
    batch: int,
    scratch: Path,
    on_done: Callable[[int, float], None],
) -> Vectors:
    """Vectors (n, d) of ``texts``, computed ``batch`` at a time in ``order``; what a killed run finished is kept.

    Batches are cut at the same places whether or not the run was interrupted, so the vectors are the same to the
    last bit. ``on_done`` is called with the number done and the rate since this call began.
    """
    kept = _Progress(scratch, _digest(texts, order, batch))
    done = kept.finished(batch, len(texts))
    start, already = time.monotonic(), done
    while done < len(texts):
        chosen = order[done : done + batch]
        kept.add(embed([texts[n] for n in chosen]))
        done += len(chosen)
        on_done(done, (done - already) / max(time.monotonic() - start, 1e-9))
    in_order = kept.read(len(texts))
    vectors = np.empty_like(in_order)
    vectors[np.asarray(order)] = in_order
    return vectors


class _Progress:
    """Vectors appended to a file, beside a description without which they are thrown away."""

    def __init__(self, scratch: Path, digest: str) -> None:
        self._vectors, self._plan = scratch / _VECTORS_FILE, scratch / _PLAN_FILE
        self._digest = digest
        self._dimension = self._known_dimension()
        if not self._dimension:
            self._vectors.unlink(missing_ok=True)

    def finished(self, batch: int, total: int) -> int:
        """How many vectors of whole batches are there; a batch that was cut off is removed."""
        if not self._dimension or not self._vectors.exists():
            return 0
        row = 4 * self._dimension
        rows = min(self._vectors.stat().st_size // row, total)
        rows = rows if rows == total else rows - rows % batch
        with self._vectors.open("r+b") as file:
            file.truncate(rows * row)
        return rows

    def add(self, vectors: Vectors) -> None:
        if not self._dimension:
            self._dimension = int(vectors.shape[1])
            self._plan.write_text(json.dumps({"digest": self._digest, "dimension": self._dimension}), encoding="utf-8")
        with self._vectors.open("ab") as file:
            file.write(np.ascontiguousarray(vectors, dtype="<f4").tobytes())

    def read(self, total: int) -> Vectors:
        found: Vectors = np.fromfile(self._vectors, dtype="<f4").reshape(total, self._dimension)
        return found

    def _known_dimension(self) -> int:
        """The dimension of what an earlier attempt left of exactly this work, else 0."""
        try:
            plan = json.loads(self._plan.read_text(encoding="utf-8"))
            return int(plan["dimension"]) if plan["digest"] == self._digest else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0


def _digest(texts: Sequence[str], order: Sequence[int], batch: int) -> str:
    digest = hashlib.sha256(f"{batch} {len(texts)}\n".encode())
    for number in order:
        text = texts[number].encode("utf-8", "surrogatepass")
        digest.update(f"{number} {len(text)}\n".encode() + text)
    return digest.hexdigest()
