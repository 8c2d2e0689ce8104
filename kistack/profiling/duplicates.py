"""Documents that nearly repeat an earlier one: shingles of words, MinHash, and a check of what it proposes.

Broder, On the resemblance and containment of documents (1997); bands of signatures as in Leskovec, Rajaraman and
Ullman, Mining of Massive Datasets, chapter 3. The same documents always give the same count.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

#: Words of a shingle, and the share of shingles in common (Jaccard) from which texts count as nearly the same.
SHINGLE = 4
ALIKE = 0.7

#: Sixteen bands of four: texts that share 70 % of their shingles meet in one with probability 0.988, at 40 % with 0.34.
_BANDS, _ROWS = 16, 4
_WORD = re.compile(r"\w+")


def near_duplicates(texts: Sequence[str]) -> int:
    """How many texts share at least ``ALIKE`` of their shingles with an earlier one without repeating its words."""
    return len(nearly_repeated(texts))


def nearly_repeated(texts: Sequence[str], shingle: int = SHINGLE, alike: float = ALIKE) -> dict[int, int]:
    """Numbers of texts that nearly repeat an earlier one, each with that one's number; about 3 MB/s.

    A text that only repeats another's words in the same order is an exact duplicate and not among them; of texts
    shorter than a shingle nothing can be said.
    """
    known: dict[str, int] = {}
    first: dict[bytes, list[int]] = {}
    sets: dict[int, Any] = {}
    found: dict[int, int] = {}
    numbers = _Numbers()
    for number, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        if len(words) < shingle or known.setdefault(" ".join(words), number) != number:
            continue
        shingles = numbers.shingles(words, shingle)
        bands = list(numbers.bands(shingles))
        for earlier in sorted({n for band in bands for n in first.get(band, ())}):
            if _jaccard(shingles, sets[earlier]) >= alike:
                found[number] = earlier
                break
        else:  # only texts unlike all before them are compared with: many copies of one text cost no more than one
            sets[number] = shingles
            for band in bands:
                held = first.setdefault(band, [])
                if len(held) < _MOST:
                    held.append(number)
    return found


def lookalikes(texts: Sequence[str], others: Sequence[str], shingle: int = 2, alike: float = ALIKE) -> list[list[int]]:
    """For each of ``others`` the numbers of those ``texts`` that share at least ``alike`` of its shingles.

    Made for questions: the shingles are short, and texts shorter than one have no lookalikes.
    """
    numbers = _Numbers()

    def cut(text: str) -> Any:
        words = _WORD.findall(text.casefold())
        return numbers.shingles(words, shingle) if len(words) >= shingle else None

    known = [cut(text) for text in texts]
    buckets: dict[bytes, list[int]] = {}
    for number, shingles in enumerate(known):
        for band in () if shingles is None else numbers.bands(shingles):
            buckets.setdefault(band, []).append(number)
    found: list[list[int]] = []
    for shingles in map(cut, others):
        if shingles is None:
            found.append([])
            continue
        near = sorted({n for band in numbers.bands(shingles) for n in buckets.get(band, ())[:_MOST]})
        found.append([n for n in near if _jaccard(shingles, known[n]) >= alike])
    return found


#: Texts of one band that a text is compared with: templates filled in many ways meet often and are rarely alike.
_MOST = 20


class _Numbers:
    """Shingles and signatures as numbers."""

    def __init__(self) -> None:
        import numpy as np

        generator = np.random.default_rng(20_240_701)
        count = _BANDS * _ROWS
        self._factors = (generator.integers(1, 1 << 63, size=(count, 1), dtype=np.uint64) << np.uint64(1)) | np.uint64(
            1
        )
        self._shifts = generator.integers(0, 1 << 63, size=(count, 1), dtype=np.uint64)
        self._words: dict[str, int] = {}

    def shingles(self, words: Sequence[str], size: int) -> Any:
        """The distinct shingles of these words, sorted, as 64-bit numbers."""
        import numpy as np

        numbers = np.fromiter(map(self._number, words), dtype=np.uint64, count=len(words))
        length = len(words) - size + 1
        mixed = np.zeros(length, dtype=np.uint64)
        for n in range(size):
            mixed = (mixed ^ numbers[n : n + length]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        return np.unique(mixed)

    def _number(self, word: str) -> int:
        found = self._words.get(word)
        if found is None:
            data = word.encode()
            found = self._words[word] = zlib.crc32(data) << 32 | zlib.adler32(data)
        return found

    def bands(self, shingles: Any) -> Iterator[bytes]:
        """The bands of the signature: equal for two texts with the probability that their Jaccard index to 4th has."""
        import numpy as np

        least = np.full(len(self._factors), np.iinfo(np.uint64).max, dtype=np.uint64)
        for start in range(0, len(shingles), 4096):
            mixed = shingles[None, start : start + 4096] * self._factors + self._shifts
            least = np.minimum(least, (mixed ^ (mixed >> np.uint64(32))).min(axis=1))
        for n in range(_BANDS):
            yield bytes([n]) + least[n * _ROWS : (n + 1) * _ROWS].tobytes()


def _jaccard(one: Any, other: Any) -> float:
    import numpy as np

    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)
