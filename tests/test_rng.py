from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from graphscore.rng import GraphGenerator, mix_seed, threefry2x32

KNOWN_ANSWERS = [  # Random123 1.14, tests/kat_vectors: threefry2x32 with 20 rounds
    (("00000000", "00000000"), ("00000000", "00000000"), ("6b200159", "99ba4efe")),
    (("ffffffff", "ffffffff"), ("ffffffff", "ffffffff"), ("1cb996fc", "bb002be7")),
    (("13198a2e", "03707344"), ("243f6a88", "85a308d3"), ("c4923a9c", "483df7a0")),
]


def draw(seeds, sizes, width=3, stream=0, draws=1):
    generator = GraphGenerator(seeds, stream)
    index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return [generator.randn(index, len(sizes), width, torch.float64) for _ in range(draws)][-1].split(sizes)


@pytest.mark.parametrize(("key", "counter", "answer"), KNOWN_ANSWERS)
def test_threefry_known_answers(key, counter, answer):
    words = threefry2x32(*(tuple(torch.tensor([int(w, 16)]) for w in pair) for pair in (key, counter)))
    assert [f"{int(word):08x}" for word in words] == list(answer)


def test_threefry_of_many_counters_equals_one_by_one():
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(2**32, (4, 50), generator=generator)
    together = torch.stack(threefry2x32((words[0], words[1]), (words[2], words[3])))
    alone = [torch.stack(threefry2x32((column[0], column[1]), (column[2], column[3]))) for column in words.T[..., None]]
    assert torch.equal(together, torch.cat(alone, dim=1))


def test_draws_are_standard_normal():
    x = draw([7], [50_000], width=3)[0].numpy()
    assert scipy.stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    for column in x.T:
        assert scipy.stats.kstest(column, "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(x.T) - np.eye(3)).max() < 4 / np.sqrt(len(x))


def test_one_draw_of_many_seeds_is_standard_normal():
    x = torch.cat(draw(range(20_000), [1] * 20_000, width=1)).numpy().ravel()
    assert scipy.stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 / np.sqrt(len(x))


@pytest.mark.parametrize("change", ["seed", "high word of the seed", "stream", "draw", "node", "column"])
def test_streams_are_independent(change):
    n = 20_000
    base = draw([5], [n], width=2)[0]
    other = {
        "seed": lambda: draw([6], [n], width=2)[0],
        "high word of the seed": lambda: draw([5 + 2**32], [n], width=2)[0],
        "stream": lambda: draw([5], [n], width=2, stream=1)[0],
        "draw": lambda: draw([5], [n], width=2, draws=2)[0],
        "node": lambda: base.roll(1, 0),
        "column": lambda: base.flip(1),
    }[change]()
    for power in (1, 2):  # squares too: Box-Muller pairs share their radius
        correlation = np.corrcoef(base[:, 0].numpy() ** power, other[:, 0].numpy() ** power)[0, 1]
        assert abs(correlation) < 4 / np.sqrt(n)
    assert not torch.equal(base, other)


def test_a_graphs_numbers_depend_neither_on_batch_mates_nor_on_order():
    alone = draw([11], [4], draws=2)[0]
    together = draw([3, 11, 8, 2], [2, 4, 0, 5], draws=2)
    turned = draw([2, 8, 11, 3], [5, 0, 4, 2], draws=2)
    assert torch.equal(alone, together[1])
    for graph, part in enumerate(together):
        assert torch.equal(part, turned[3 - graph])


def test_rows_in_any_order_get_the_numbers_of_their_place_in_the_graph():
    """As edges of a batch that are not listed graph by graph."""
    index, order = torch.tensor([0, 0, 0, 2, 2, 3]), torch.tensor([5, 0, 3, 1, 4, 2])
    expected = GraphGenerator([1, 2, 3, 4]).randn(index, 4, 3, torch.float64)
    assert torch.equal(GraphGenerator([1, 2, 3, 4]).randn(index[order], 4, 3, torch.float64), expected[order])


def test_the_first_rows_and_columns_do_not_depend_on_how_many_follow():
    assert torch.equal(draw([1], [3], width=4)[0], draw([1], [9], width=4)[0][:3])
    assert torch.equal(draw([1], [1], width=3)[0], draw([1], [1], width=4)[0][:, :3])


def test_types_and_shapes():
    index = torch.tensor([0, 0, 2])
    generator = GraphGenerator(torch.tensor([1, 2, 3]))
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert generator.randn(index, 3, 5, dtype).dtype == dtype
    assert generator.randn(index, 3, 0, torch.float32).shape == (3, 0)
    assert generator.randn(index[:0], 3, 2, torch.float32).shape == (0, 2)
    assert GraphGenerator([]).randn(index[:0], 0, 2, torch.float32).shape == (0, 2)
    assert generator.num_draws == 5 and "num_draws=5" in repr(generator)


@pytest.mark.parametrize("seeds", [[-1], [0.5], [[1, 2]], 3])
def test_bad_seeds_are_rejected(seeds):
    with pytest.raises(ValueError, match="non-negative integers"):
        GraphGenerator(seeds)


@pytest.mark.parametrize("stream", [-1, 2**16])
def test_bad_streams_are_rejected(stream):
    with pytest.raises(ValueError, match="stream"):
        GraphGenerator([1], stream)


def test_the_number_of_seeds_must_be_that_of_graphs():
    with pytest.raises(ValueError, match="2 seeds.*3 graphs"):
        GraphGenerator([1, 2]).randn(torch.tensor([0, 1, 2]), 3, 1, torch.float32)


def test_running_out_of_draws_is_an_error_not_a_repetition():
    generator = GraphGenerator([1])
    generator.num_draws = 2**16 - 1
    index = torch.zeros(1, dtype=torch.long)
    generator.randn(index, 1, 1, torch.float32)
    with pytest.raises(ValueError, match="65536 draws"):
        generator.randn(index, 1, 1, torch.float32)


def test_mix_seed():
    seeds = {mix_seed(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900 and all(0 <= seed < 2**63 for seed in seeds)
    assert mix_seed(1, 2) == mix_seed(1, 2) != mix_seed(2, 1)
