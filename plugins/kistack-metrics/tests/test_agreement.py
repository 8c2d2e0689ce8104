import math
import random

import numpy as np
import pytest
from kistack_metrics.agreement import cells, kappa
from sklearn.metrics import cohen_kappa_score


def of(verdicts, labels):
    return float(kappa(np.sum([cells(v, x) for v, x in zip(verdicts, labels, strict=True)], axis=0)[np.newaxis])[0])


def test_kappa_agrees_with_that_of_scikit_learn():
    source = random.Random(5)
    for _ in range(200):
        labels = [float(source.random() < 0.7) for _ in range(40)]
        verdicts = [x if source.random() < 0.8 else 1 - x for x in labels]
        assert of(verdicts, labels) == pytest.approx(cohen_kappa_score(verdicts, labels))


def test_known_agreements():
    assert of([1, 0, 1, 0], [1, 0, 1, 0]) == 1.0
    assert of([1, 1, 0, 0], [1, 0, 1, 0]) == 0.0
    assert of([0, 1], [1, 0]) == -1.0
    assert math.isnan(of([1, 1], [1, 1]))


def test_a_verdict_that_failed_disagrees():
    assert cells(math.nan, 1.0) == cells(0.0, 1.0)
    assert cells(math.nan, 0.0) == cells(1.0, 0.0)
