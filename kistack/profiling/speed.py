"""Memory bandwidth and matrix throughput of this machine, in about a second. Run as a script by ``hardware``.

A process of its own, because the variables that tell a linear-algebra library which instructions to use are read when
numpy is imported, and must not hold back a measurement of what the processor can do. Times are the best of several, as
in STREAM (McCalpin, 1995): anything slower measured something else running beside it. Medians are reported too.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SIDE = 1024
SECONDS = 0.35
_LEAST, _MOST = 3, 25


def timings(work: Callable[[], object]) -> list[float]:
    """Seconds of each repetition of ``work`` after one to warm up: for ``SECONDS``, but at least three."""
    work()
    taken: list[float] = []
    while len(taken) < _LEAST or (sum(taken) < SECONDS and len(taken) < _MOST):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def copy_bandwidth(threads: int, size: int) -> dict[str, float]:
    """Bytes read plus bytes written per second when ``threads`` together copy ``size`` bytes."""
    import numpy as np

    source = np.ones(size // 4, np.float32)
    target = np.zeros(size // 4, np.float32)
    parts = [slice(n * len(source) // threads, (n + 1) * len(source) // threads) for n in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        taken = timings(lambda: list(pool.map(lambda part: np.copyto(target[part], source[part]), parts)))
    return _rates(2 * source.nbytes, taken)


def matrix_throughput() -> dict[str, float]:
    """fp32 operations per second of a square matrix product, as many threads as the library takes."""
    import numpy as np

    left = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    out = np.empty_like(left)
    return _rates(2 * SIDE**3, timings(lambda: np.matmul(left, left, out=out)))


def _rates(work: float, taken: list[float]) -> dict[str, float]:
    return {"best": work / min(taken), "median": work / statistics.median(taken), "count": len(taken)}


def main(threads: int, size: int) -> None:
    """Print both measurements as one JSON document."""
    print(json.dumps({"bandwidth": copy_bandwidth(threads, size), "flops_fp32": matrix_throughput()}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
