from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.models import load_model
from kistack_transformers import scoring
from kistack_transformers.scoring import Scorer, windows


@pytest.fixture(scope="module")
def model(model_folder):
    return load_model(model_folder, dtype=torch.float32, device="cpu")


def naive(model, ids, first):
    """The definition: one forward pass for every token."""
    total = 0.0
    with torch.inference_mode():
        for place in range(first, len(ids)):
            logits = model(torch.tensor([ids[:place]])).logits[0, -1]
            total += float(torch.log_softmax(logits.double(), -1)[ids[place]])
    return total


ITEMS = [
    ([5, 6, 7, 8, 9, 10], 4),
    ([5, 6, 7], 2),
    ([260, 40, 41, 42, 43, 44, 45, 46, 47, 48], 1),
    ([9, 9, 9, 9], 3),
    ([100, 200], 1),
]


def test_a_batch_is_the_sum_of_single_tokens(model):
    scorer = Scorer(model, 512, 320)
    found = scorer.score(ITEMS)
    for (ids, first), one in zip(ITEMS, found, strict=True):
        assert one.total == pytest.approx(naive(model, ids, first), abs=1e-4)
        assert one.tokens == len(ids) - first
        (alone,) = scorer.score([(ids, first)])
        assert alone.total == pytest.approx(one.total, abs=1e-5)


def test_nothing_to_score(model):
    found = Scorer(model, 512, 320).score([([5, 6], 2), ([5], 1), ([], 1), ([], 0), ([5, 6], 1)])
    assert [(r.total, r.tokens) for r in found[:4]] == [(0.0, 0)] * 4
    assert found[4].tokens == 1
    assert Scorer(model, 512, 320).score([]) == []


def test_the_first_token_of_a_text_is_never_scored(model):
    zero, one = Scorer(model, 512, 320).score([([5, 6, 7], 0), ([5, 6, 7], 1)])
    assert zero == one


def test_a_text_longer_than_the_context_slides(model):
    ids = torch.randint(3, 300, (60,), generator=torch.Generator().manual_seed(1)).tolist()
    (found,) = Scorer(model, 24, 320).score([(ids, 1)])
    expected = sum(naive(model, ids[w.begin : w.end], w.first - w.begin) for w in windows(len(ids), 1, 24))
    assert found.tokens == len(ids) - 1
    assert found.total == pytest.approx(expected, abs=1e-3)


def test_a_model_that_makes_all_logits_scores_the_same(model):
    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.device, self.dtype = model, model.device, model.dtype

        def forward(self, input_ids, use_cache=False):
            return self.inner(input_ids=input_ids, use_cache=use_cache)

    assert Scorer(Whole(), 512, 320).score(ITEMS) == Scorer(model, 512, 320).score(ITEMS)


def test_long_targets_are_summed_in_slices(model, monkeypatch):
    ids = list(range(3, 100))
    (whole,) = Scorer(model, 512, 320).score([(ids, 1)])
    monkeypatch.setattr(scoring, "_SLICE", 7)
    (sliced,) = Scorer(model, 512, 320).score([(ids, 1)])
    assert sliced.total == pytest.approx(whole.total, abs=1e-4)


@given(st.integers(0, 400), st.integers(1, 60), st.integers(2, 64))
def test_windows_score_every_token_once_with_context(count, first, limit):
    found = windows(count, first, limit)
    assert [p for w in found for p in range(w.first, w.end)] == list(range(first, count))
    for number, window in enumerate(found):
        assert window.end - window.begin <= limit
        assert window.begin < window.first
        if number or first >= limit:
            assert window.first - window.begin >= limit // 2
