import pytest
from hypothesis import given
from hypothesis import strategies as st
from kistack_torch.batching import (
    Example,
    all_steps,
    each_micro_batch,
    epoch_steps,
    micro_batches,
    padded_ids,
    padded_length,
    padding_share,
    target_rows,
)

from kistack.errors import DataError

LENGTHS = st.lists(st.integers(2, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 16), st.integers(64, 4096), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_sees_every_example_once_within_the_budget(lengths, batch, budget, seed, epoch):
    steps = epoch_steps(lengths, batch=batch, budget=budget, seed=seed, epoch=epoch)
    assert sorted(i for micro in each_micro_batch(steps) for i in micro) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // batch)
    for step in steps:
        assert sum(len(micro) for micro in step) <= batch
        for micro in step:
            assert len(micro) == 1 or len(micro) * padded_length(max(lengths[i] for i in micro)) <= budget


@given(LENGTHS, st.integers(0, 5))
def test_the_order_is_the_seeds(lengths, seed):
    def ask(s, e):
        return epoch_steps(lengths, batch=4, budget=1024, seed=s, epoch=e)

    assert ask(seed, 0) == ask(seed, 0)
    if len(lengths) > 40:
        assert ask(seed, 0) != ask(seed, 1)
        assert ask(seed, 0) != ask(seed + 1, 0)


def test_epochs_follow_each_other():
    lengths = [10 + i % 7 for i in range(30)]
    steps = all_steps(lengths, batch=8, budget=512, seed=3, epochs=2)
    assert steps[:4] == epoch_steps(lengths, batch=8, budget=512, seed=3, epoch=0)
    assert steps[4:] == epoch_steps(lengths, batch=8, budget=512, seed=3, epoch=1)


def test_little_is_wasted_on_padding():
    # lengths spread over a decade, as questions with and without passages are
    lengths = [40 + (i * 7919) % 400 for i in range(400)]
    sorted_waste = padding_share(epoch_steps(lengths, batch=8, budget=4096, seed=0, epoch=0), lengths)
    unsorted = [(tuple(range(at, at + 8)),) for at in range(0, 400, 8)]
    assert sorted_waste < 0.08
    assert padding_share(unsorted, lengths) > 4 * sorted_waste


def test_a_long_example_is_computed_alone():
    assert micro_batches([0, 1, 2], [500, 10, 10], 64) == ((1, 2), (0,))


def test_padding_goes_to_the_right():
    assert padded_ids([Example((1, 2, 3), 1), Example(tuple(range(1, 10)), 2)], 0) == [
        [1, 2, 3] + [0] * 13,
        [*range(1, 10), *[0] * 7],
    ]


def test_rows_predict_the_next_token_of_the_answer():
    examples = [Example((5, 6, 7, 8), 2), Example((1, 2, 3), 1)]
    rows, tokens, answers = target_rows(examples, everywhere=False)
    assert rows == [1, 2, 8, 9]
    assert tokens == [7, 8, 2, 3]
    assert answers == [True] * 4
    rows, tokens, answers = target_rows(examples, everywhere=True)
    assert rows == [0, 1, 2, 8, 9]
    assert tokens == [6, 7, 8, 2, 3]
    assert answers == [False, True, True, True, True]


def test_an_example_without_answer_is_refused():
    with pytest.raises(DataError, match="'q1'"):
        Example((1, 2), 2, "q1")
