from __future__ import annotations

import pytest
import torch
from torch import nn

from graphscore import ops
from graphscore.testing import assert_batch_independent, assert_equivariant, observed_order, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)


def test_ragged_batch():
    batch = ragged_batch((0, 4, 1, 3), edgeless=(3,), dim=2, channels=5, dtype=torch.float32)
    assert batch.num_graphs == 4 and batch.ptr.tolist() == [0, 0, 4, 5, 8]
    assert batch.pos.shape == (8, 2) and batch.x.shape == (8, 5) and batch.x.dtype == torch.float32
    assert batch.edge_index.shape == (2, 12) and batch.edge_attr.shape == (12, 5) and batch.y.shape == (4, 5)
    assert {tuple(edge) for edge in batch.edge_index.T.tolist()} == {
        (i, j) for i in range(4) for j in range(4) if i != j
    }
    assert torch.equal(ragged_batch((3,), seed=1).pos, ragged_batch((3,), seed=1).pos)
    assert not torch.equal(ragged_batch((3,), seed=1).pos, ragged_batch((3,), seed=2).pos)


INPUTS, OUTPUTS = (
    {"pos": "position"},
    {"vector": "vector", "position": "position", "scalar": "scalar", "graph": "vector"},
)


def equivariant(batch):
    source, target = batch.edge_index
    difference = batch.pos[target] - batch.pos[source]
    vector = ops.sum(difference * batch.edge_attr[:, :1], target, batch.num_nodes)
    return {
        "vector": vector,
        "position": batch.pos + vector,
        "scalar": vector.square().sum(-1, keepdim=True) * batch.x + batch.y[batch.batch],
        "graph": ops.sum(vector * batch.x[:, :1], batch.batch, batch.num_graphs),
    }


@pytest.mark.parametrize("dim", [0, 1, 2, 3, 5])
def test_assert_equivariant_passes_what_is(dim):
    assert_equivariant(equivariant, ragged_batch(SIZES, dim=dim), inputs=INPUTS, outputs=OUTPUTS)


def test_assert_equivariant_takes_stacked_vectors():
    def stacked(batch):
        vector = equivariant(batch)["vector"]
        return {"vector": torch.stack([vector, 2 * vector], 1), "position": batch.pos[:, None].expand(-1, 2, -1)}

    outputs = {"vector": "vector", "position": "position"}
    assert_equivariant(stacked, ragged_batch(SIZES), inputs=INPUTS, outputs=outputs)


BROKEN = {
    "rotation": lambda b: b.pos * torch.tensor([1.0, 1.0, 1.001]).double(),
    "reflection": lambda b: torch.linalg.cross(b.pos, ops.sum(b.pos, b.batch, 7)[b.batch]),
    "translation": lambda b: b.pos,
    "permutation": lambda b: equivariant(b)["vector"] * (1 + 1e-6 * torch.arange(13)[:, None]),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_assert_equivariant_finds_each_broken_symmetry(broken):
    def function(batch):
        return {"out": BROKEN[broken](batch)}

    with pytest.raises(AssertionError) as caught:
        assert_equivariant(function, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"})
    lines = [line for line in str(caught.value).splitlines() if line.startswith(broken)]
    assert len(lines) == 1 and lines[0].endswith("<- too large")
    others = tuple(name for name in BROKEN if name != broken)
    if broken in ("translation", "permutation"):
        assert_equivariant(function, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"}, transforms=others)


def test_a_chiral_function_passes_without_reflection():
    def chiral(batch):
        center = ops.center(batch.pos, batch.batch, 7)
        pull = ops.sum(center * batch.x[:, :1], batch.batch, 7)[batch.batch]
        return {"out": torch.linalg.cross(center, pull)}

    arguments = {"inputs": INPUTS, "outputs": {"out": "vector"}}
    with pytest.raises(AssertionError, match=r"rotation .*e-1\d\nreflection .* too large\ntranslation .*e-1\d\n"):
        assert_equivariant(chiral, ragged_batch(SIZES), **arguments)
    assert_equivariant(chiral, ragged_batch(SIZES), **arguments, transforms=("rotation", "translation", "permutation"))


def test_assert_equivariant_rejects_values_that_are_not_finite():
    with pytest.raises(AssertionError, match="nan"):
        assert_equivariant(
            lambda b: {"out": b.pos / 0 * 0}, ragged_batch(SIZES), inputs=INPUTS, outputs={"out": "vector"}
        )


def test_assert_equivariant_computes_modules_in_float64_and_leaves_them_alone():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.rand(1))

        def forward(self, batch):
            return {"vector": self.scale * equivariant(batch)["vector"]}

    model = Model()
    batch = ragged_batch(SIZES, dtype=torch.float32)
    assert_equivariant(model, batch, inputs=INPUTS, outputs={"vector": "vector"})
    assert model.scale.dtype == torch.float32 and batch.pos.dtype == torch.float32


def test_assert_equivariant_needs_rows_that_it_can_tell_apart():
    with pytest.raises(ValueError, match="needs different numbers of nodes, edges and graphs, but has 2, 2 and 1"):
        assert_equivariant(equivariant, ragged_batch([2]), inputs=INPUTS, outputs=OUTPUTS)
    with pytest.raises(ValueError, match="Unknown transform 'scaling'"):
        assert_equivariant(equivariant, ragged_batch(SIZES), inputs=INPUTS, outputs=OUTPUTS, transforms=("scaling",))


def test_assert_batch_independent_passes_what_is():
    assert_batch_independent(lambda batch: {k: v for k, v in equivariant(batch).items()}, ragged_batch(SIZES))
    assert_batch_independent(
        lambda batch: {"y": batch.y**2, "edge": batch.edge_attr * 2}, ragged_batch(SIZES), inputs=("y", "edge_attr")
    )


COUPLED = {
    "mean over the batch": lambda batch: {"x": batch.pos - batch.pos.mean(0)},
    "norm over the batch": lambda batch: {"x": batch.pos / (1 + batch.pos.norm())},
    "place in the batch": lambda batch: {"x": batch.pos + torch.arange(len(batch.pos))[:, None]},
    "tiled graph values": lambda batch: {"x": batch.pos + batch.y.repeat(len(batch.pos), 1)[: len(batch.pos), :1]},
}


@pytest.mark.parametrize("how", COUPLED)
def test_assert_batch_independent_finds_each_coupling(how):
    with pytest.raises(AssertionError, match="Output 'x' of graph 1 differs"):
        assert_batch_independent(COUPLED[how], ragged_batch(SIZES))


def test_assert_batch_independent_finds_gradients_that_cancel_in_the_value():
    def leak(batch):
        others = batch.pos.sum() - ops.sum(batch.pos, batch.batch, batch.num_graphs)[batch.batch].sum(-1, keepdim=True)
        return {"x": batch.pos + 1e-30 * others}

    with pytest.raises(AssertionError, match="The outputs of graph 1 depend on 'pos' of graph 2"):
        assert_batch_independent(leak, ragged_batch(SIZES))


def test_observed_order():
    steps = [10, 20, 40]
    assert observed_order(steps, [3 / n**2 for n in steps]) == pytest.approx(2)
    assert observed_order(steps, [5.0, 5.0, 5.0]) == pytest.approx(0)
    for bad in ([1.0], [1.0, 0.0, 1.0], [1.0, float("nan"), 1.0]):
        with pytest.raises(ValueError, match="two or more positive finite"):
            observed_order(steps[: len(bad)], bad)
