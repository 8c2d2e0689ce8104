"""How far ``lexical_support`` agrees with people: ``python tests/benchmarks/faithfulness_agreement.py FILE``.

FILE has one JSON object a line: ``context`` (what the response should rest on), ``response``, ``label``; the label that
counts as supported is ``Fully attributable``, as in BEGIN (Dziri et al., "Evaluating Attribution in Dialogue Systems:
The BEGIN Benchmark", TACL 2022). The share of shared words is shown beside it. The threshold is also chosen on one half
of the lines and judged on the other, since one that was chosen on what it is judged by flatters itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from kistack_metrics.agreement import cells, kappa
from kistack_metrics.support import SUPPORTED, lexical_support
from sklearn.metrics import roc_auc_score

from kistack.evaluation.statistics import bootstrap_totals, mean_with_interval

Row = Mapping[str, str]


def overlap(row: Row) -> float:
    """Share of the response's words that stand in the context."""
    held = set(re.findall(r"\w+", row["context"].casefold()))
    words = re.findall(r"\w+", row["response"].casefold())
    return sum(word in held for word in words) / max(1, len(words))


def support(row: Row) -> float:
    """The score of ``evaluate/faithfulness``; a text that says nothing has none."""
    return lexical_support(row["response"], [row["context"]]) or 0.0


def best_threshold(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The threshold, in steps of 0.05, that agrees with the most labels."""
    return max(np.arange(0.3, 1.0, 0.05), key=lambda t: np.mean((np.asarray(scores) >= t) == np.asarray(labels)))


def report(name: str, score: Callable[[Row], float], rows: Sequence[Row], fixed: float | None) -> None:
    """Print one line of agreement for each way to choose the threshold."""
    scores = np.array([score(row) for row in rows])
    labels = np.array([row["label"] == "Fully attributable" for row in rows])
    half = np.array([hashlib.sha256(row["response"].encode()).digest()[0] % 2 == 0 for row in rows])
    print(f"{name}: area under the curve {roc_auc_score(labels, scores):.3f}")
    for side, word in ((half, "first"), (~half, "second")):
        threshold = best_threshold(scores[side], labels[side])
        agreed = np.mean((scores[~side] >= threshold) == labels[~side])
        print(f"  threshold {threshold:.2f}, chosen on the {word} half: {agreed:.3f} of the other agree")
    if fixed is not None:
        verdicts = scores >= fixed
        value, low, high = mean_with_interval((verdicts == labels).astype(float).tolist())
        table = np.array([cells(float(v), float(x)) for v, x in zip(verdicts, labels, strict=True)])
        bounds = bootstrap_totals(table, kappa)
        print(f"  threshold {fixed}: {value:.3f} [{low:.3f}, {high:.3f}] agree, ", end="")
        print(f"kappa {kappa(table.sum(axis=0)[np.newaxis])[0]:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]")


def main() -> None:
    """Read the file and report on both scores."""
    parser = argparse.ArgumentParser(description="agreement of lexical support with labelled responses")
    parser.add_argument("file", type=Path)
    rows = [json.loads(line) for line in parser.parse_args().file.read_text(encoding="utf-8").splitlines()]
    print(f"{len(rows)} responses")
    report("shared words", overlap, rows, None)
    report("lexical support", support, rows, SUPPORTED)


if __name__ == "__main__":
    main()
