"""Which graphs a step sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphscore.train.loading import StepBatchSampler


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 30), st.integers(0, 30), st.integers(0, 5))
def test_a_later_start_gives_the_same_batches(num_items, batch_size, num_steps, start, seed):
    whole = list(StepBatchSampler(num_items, batch_size, num_steps, seed=seed))
    assert list(StepBatchSampler(num_items, batch_size, num_steps, start=start, seed=seed)) == whole[start:]
    assert all(len(batch) == batch_size for batch in whole)


@given(st.integers(1, 40), st.integers(1, 6), st.sampled_from([2, 3]), st.integers(0, 5))
def test_ranks_share_the_global_batches(num_items, share, num_ranks, seed):
    whole = list(StepBatchSampler(num_items, share * num_ranks, 7, seed=seed))
    shares = [
        list(StepBatchSampler(num_items, share * num_ranks, 7, seed=seed, rank=rank, num_ranks=num_ranks))
        for rank in range(num_ranks)
    ]
    for step, batch in enumerate(whole):
        assert [shares[place % num_ranks][step][place // num_ranks] for place in range(len(batch))] == batch


@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 5))
def test_each_epoch_visits_every_item_once_in_another_order(num_items, batch_size, seed):
    stream = [i for batch in StepBatchSampler(num_items, batch_size, 5 * num_items, seed=seed) for i in batch]
    epochs = [stream[k : k + num_items] for k in range(0, 5 * num_items, num_items)]
    assert all(sorted(epoch) == list(range(num_items)) for epoch in epochs)
    assert num_items < 12 or len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="empty"):
        StepBatchSampler(0, 4, 1)
    with pytest.raises(ValueError, match="multiple of the 2 ranks, but is 5"):
        StepBatchSampler(10, 5, 1, num_ranks=2)
