"""Memory bandwidth and matrix throughput of this machine, in about a second. Run as a script by ``hardware``.

A process of its own, because the variables that tell a linear-algebra library which instructions and how many threads
to use are read when numpy is imported. All cores work at once, each thread on arrays of its own, and each is timed by
its own processor clock: what other programs take away then hardly counts, and on an idle machine it is the wall clock.
The figure is the sum over threads of the work in the median time of one repetition.
"""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

SIDE = 1024
#: Seconds on the wall for which repetitions go on, and the least and most of them.
SECONDS = 0.35
_LEAST, _MOST = 3, 40

Work = Callable[[], object]


def rate(threads: int, prepare: Callable[[], Work], amount: float) -> float:
    """Amount of work per second when every thread repeats what ``prepare`` made for it (``amount`` each time)."""
    ready = threading.Barrier(threads)

    def repeat() -> float:
        work = prepare()
        work()
        ready.wait()
        taken: list[float] = []
        start = time.perf_counter()
        while len(taken) < _LEAST or (time.perf_counter() - start < SECONDS and len(taken) < _MOST):
            before = time.thread_time()
            work()
            taken.append(time.thread_time() - before)
        return amount / max(statistics.median(taken), 1e-9)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda _n: repeat(), range(threads)))


def copy_bandwidth(threads: int, size: int) -> float:
    """Bytes read plus bytes written per second when ``threads`` copy ``size`` bytes, split among them."""
    import numpy as np

    count = max(1, size // 4 // threads)

    def prepare() -> Work:
        source, target = np.ones(count, np.float32), np.zeros(count, np.float32)
        return lambda: np.copyto(target, source)

    return rate(threads, prepare, 8.0 * count)


def matrix_throughput(threads: int) -> float:
    """fp32 operations per second of square matrix products, one per thread."""
    import numpy as np

    def prepare() -> Work:
        left = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
        out = np.empty_like(left)
        return lambda: np.matmul(left, left, out=out)

    return rate(threads, prepare, 2.0 * SIDE**3)


def main(threads: int, size: int) -> None:
    """Print both measurements as one JSON document."""
    print(json.dumps({"bandwidth": copy_bandwidth(threads, size), "flops_fp32": matrix_throughput(threads)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
