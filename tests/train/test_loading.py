"""Which graphs a step sees, on which rank and in which micro-batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphscore.nn.edges.search import NearestNeighbors
from graphscore.train.loading import FixedOrder, Shares, StepOrder, StepSampler
from graphscore.train.parts import UNLIMITED, Budget, Sizes, micro_batches, share_of, sizes_of


def make_sizes(nodes: list[int]) -> Sizes:
    array = np.array(nodes, dtype=np.int64)
    return Sizes(array, array * (array - 1), 3.5 * array)


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=30).map(make_sizes)
limits = st.one_of(st.none(), st.integers(1, 500))
budgets = st.builds(Budget, limits, limits, limits, limits)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 30), st.integers(0, 5))
def test_a_later_start_gives_the_same_steps(num_items, batch_size, start, seed):
    order, later = StepOrder(num_items, batch_size, seed), StepOrder(num_items, batch_size, seed)
    whole = [order.indices(step) for step in range(40)]
    assert [later.indices(step) for step in range(start, 40)] == whole[start:]
    assert all(len(step) == batch_size for step in whole)


@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 5))
def test_each_epoch_visits_every_item_once_in_another_order(num_items, batch_size, seed):
    order = StepOrder(num_items, batch_size, seed)
    stream = [i for step in range(5 * num_items) for i in order.indices(step)]
    epochs = [stream[k : k + num_items] for k in range(0, 5 * num_items, num_items)]
    assert all(sorted(epoch) == list(range(num_items)) for epoch in epochs)
    assert num_items < 12 or len({tuple(epoch) for epoch in epochs}) == len(epochs)


@given(sizes, st.integers(1, 4))
def test_ranks_share_a_step_without_loss_or_repetition_and_evenly(sizes, num_ranks):
    shares = [share_of(sizes, rank, num_ranks) for rank in range(num_ranks)]
    assert sorted(place for share in shares for place in share) == list(range(len(sizes)))
    assert len(sizes) < num_ranks or all(shares)
    work = sizes.nodes + sizes.edges
    loads = [int(work[share].sum()) for share in shares]
    # List scheduling: no rank could give its smallest graph away and still have more than another.
    assert all(not share or loads[r] - int(work[share].min()) <= min(loads) for r, share in enumerate(shares))


@given(sizes, budgets)
def test_micro_batches_hold_each_graph_once_and_keep_to_the_budget(sizes, budget):
    parts = micro_batches(sizes, budget)
    assert sorted(place for part in parts for place in part) == list(range(len(sizes)))
    for part in parts:
        totals = (len(part), sizes.nodes[part].sum(), sizes.edges[part].sum(), sizes.bytes[part].sum())
        fits = all(limit is None or total <= limit for total, limit in zip(totals, budget, strict=True))
        assert part == sorted(part) and (fits or len(part) == 1)


def test_a_step_that_fits_is_one_micro_batch_and_first_fit_fills_few():
    sizes = make_sizes([6, 5, 4, 3, 2])
    assert micro_batches(sizes, UNLIMITED) == micro_batches(sizes, Budget(5, 20, 70, 70)) == [[0, 1, 2, 3, 4]]
    assert micro_batches(sizes, Budget(nodes=10)) == [[0, 2], [1, 3, 4]]
    assert micro_batches(sizes, Budget(graphs=3, edges=30)) == [[0], [1, 3, 4], [2]]
    assert micro_batches(sizes, Budget(bytes=35)) == micro_batches(sizes, Budget(nodes=10))


def test_sizes_count_given_and_found_edges_and_arrays_are_taken_as_they_are():
    graphs = [Data(pos=torch.zeros(n, 3), edge_index=torch.zeros(2, n, dtype=torch.long)) for n in (3, 9, 3)]
    assert sizes_of(graphs).edges.tolist() == [3, 9, 3]
    found = sizes_of(graphs, [NearestNeighbors(2)])
    assert (found.nodes.tolist(), found.edges.tolist()) == ([3, 9, 3], [6, 27, 6])

    class Stored(list):
        num_nodes, num_edges = np.array([4, 2]), np.array([0, 0])

    assert sizes_of(Stored([None, None])).edges.tolist() == [12, 2]


@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 3), budgets)
def test_the_shares_of_all_ranks_are_the_step(num_items, batch_size, num_ranks, budget):
    sizes = make_sizes([1 + k % 5 for k in range(num_items)])
    for order, steps in ((StepOrder(num_items, batch_size), 9), (FixedOrder(num_items, batch_size), 3)):
        samplers = [StepSampler(order, sizes, range(steps), budget, rank, num_ranks) for rank in range(num_ranks)]
        for step, shares in enumerate(zip(*samplers, strict=True)):
            pairs = sorted(pair for share in shares for part in share for pair in zip(*part, strict=True))
            assert pairs == list(enumerate(order.indices(step)))


def test_graphs_are_read_by_one_call_where_that_is_offered():
    graphs, calls = [Data(x=torch.full((1, 1), float(k))) for k in range(5)], []

    class Stored(list):
        def __getitems__(self, indices):
            calls.append(indices)
            return [graphs[index] for index in indices]

    for source in (graphs, Stored()):
        first, second = Shares(source)[[([0, 2], [3, 1]), ([1], [4])]]
        assert first.batch.x.flatten().tolist() == [3.0, 1.0] and second.batch.x.tolist() == [[4.0]]
        assert (first.places, second.places) == ([0, 2], [1])
    assert calls == [[3, 1], [4]]


def test_there_must_be_something_to_train_on():
    with pytest.raises(ValueError, match="empty"):
        StepOrder(0, 4)
