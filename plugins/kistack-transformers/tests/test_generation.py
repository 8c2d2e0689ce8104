from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.models import load_model
from kistack_transformers.generation import GreedyDecoder, batches
from transformers import GenerationConfig

ROWS = [[5, 9, 30], [7] * 17, [40, 41, 42, 43, 44, 45, 46], [260], [100, 101] * 6]


@pytest.fixture(scope="module")
def model(model_folder):
    return load_model(model_folder, dtype=torch.float32, device="cpu")


def decode(decoder, rows, limit):
    said = [[] for _ in rows]
    for alive, tokens in decoder.steps(rows, limit):
        for row, token in zip(alive, tokens, strict=True):
            said[row].append(token)
    return said


def one_by_one(model, row, limit, ends):
    """The definition: run the whole text again for every token."""
    said = []
    with torch.inference_mode():
        while len(said) < limit:
            said.append(int(model(torch.tensor([row + said])).logits[0, -1].argmax()))
            if said[-1] in ends:
                break
    return said


def common_token(model):
    """A token that some rows write early and others do not, so that rows end at different steps."""
    alone = [one_by_one(model, r, 12, ()) for r in ROWS]
    return next(t for t in alone[0][1:] if any(t not in other for other in alone))


def test_a_batch_says_what_each_row_says_alone(model):
    ends = frozenset({common_token(model)})
    expected = [one_by_one(model, r, 12, ends) for r in ROWS]
    assert len({len(e) for e in expected}) > 1  # rows leave the batch at different steps
    decoder = GreedyDecoder(model, ends, 0)
    assert decode(decoder, ROWS, 12) == expected
    assert [decode(decoder, [r], 12)[0] for r in ROWS] == expected
    assert decode(GreedyDecoder(model, ends, 3), ROWS, 12) == expected  # whatever fills the left


def test_it_agrees_with_the_librarys_own_generate(model):
    ends = frozenset({common_token(model)})
    config = GenerationConfig(max_new_tokens=12, do_sample=False, eos_token_id=list(ends), pad_token_id=0)
    for row in ROWS:
        theirs = model.generate(torch.tensor([row]), generation_config=config)[0, len(row) :].tolist()
        assert decode(GreedyDecoder(model, ends, 0), [row], 12) == [theirs]


def test_rows_that_ended_leave_the_batch(model):
    ends = frozenset({common_token(model)})
    alive = [rows for rows, _ in GreedyDecoder(model, ends, 0).steps(ROWS, 12)]
    assert alive[0] == list(range(len(ROWS)))
    assert len(alive[-1]) < len(ROWS)
    assert all(set(later) <= set(earlier) for earlier, later in itertools.pairwise(alive))


def test_a_cache_that_cannot_drop_rows_keeps_them(model):
    class Stubborn(torch.nn.Module):
        """The same model with a cache that offers nothing."""

        def __init__(self):
            super().__init__()
            self.inner = model
            self.device = model.device

        def forward(self, input_ids, past_key_values=None, use_cache=True, attention_mask=None, position_ids=None):
            held = None if past_key_values is None else past_key_values.held
            out = self.inner(input_ids, past_key_values=held, attention_mask=attention_mask, position_ids=position_ids)
            cache = type("Cache", (), {"held": out.past_key_values})()
            return type("Out", (), {"logits": out.logits, "past_key_values": cache})()

    ends = frozenset({common_token(model)})
    expected = [one_by_one(model, r, 12, ends) for r in ROWS]
    said = decode(GreedyDecoder(Stubborn(), ends, 0), ROWS, 12)
    assert [s[: len(e)] for s, e in zip(said, expected, strict=True)] == expected


def test_no_end_tokens_means_the_limit(model):
    assert [len(s) for s in decode(GreedyDecoder(model, frozenset(), 0), ROWS, 5)] == [5] * len(ROWS)


@given(
    st.lists(st.integers(1, 300), max_size=40),
    st.integers(1, 8),
    st.one_of(st.just(float("inf")), st.floats(1, 2000)),
)
def test_batches_hold_every_row_once_within_the_limits(lengths, rows, tokens):
    found = batches(lengths, rows, tokens)
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    for group in found:
        assert len(group) <= rows
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= tokens
    longest_first = [lengths[i] for group in found for i in group]
    assert longest_first == sorted(lengths, reverse=True)
