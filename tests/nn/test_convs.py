"""Single layers, as users of PyTorch Geometric call them."""

from __future__ import annotations

import doctest

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.nn import Sequential

from graphscore.fields import replace
from graphscore.nn import EGNN, EGNNConv, EquivariantTransformerConv, PaiNNConv, convs, score_network
from graphscore.testing import assert_equivariant, ragged_batch

SIZES = (0, 4, 1, 0, 5, 3, 0)
VECTOR_CONVS = [PaiNNConv, EquivariantTransformerConv]


@pytest.mark.parametrize("module", [convs, score_network], ids=lambda module: module.__name__)
def test_examples_of_the_docstrings_run(module):
    result = doctest.testmod(module)
    assert result.attempted and not result.failed


@pytest.mark.parametrize("widths", [(8, 8), (4, 8)])
@pytest.mark.parametrize("kind", [EGNNConv, *VECTOR_CONVS])
def test_results_turn_with_the_positions_and_do_not_depend_on_the_order_of_edges(kind, widths):
    conv, batch = kind(*widths, edge_dim=2).double(), ragged_batch(SIZES)
    batch.h = torch.randn(13, widths[0]).double()
    # As vectors of the batch, which turn one by one.
    names = [f"v{number}" for number in range(widths[0])]
    batch = replace(batch, {name: torch.randn(13, 3).double() for name in names})

    def function(b):
        given = (b.h, b.pos, b.edge_index)
        if kind is EGNNConv:
            h, pos = conv(*given, b.edge_attr)
            return {"h": h, "moved": pos - b.pos}
        h, vectors = conv(*given, torch.stack([b[name] for name in names], dim=1), b.edge_attr)
        return {"h": h} | {f"out{number}": vectors[:, number] for number in range(widths[1])}

    outputs = function(batch)
    assert all(value.abs().max() > 1e-3 for value in outputs.values())
    kinds = {"pos": "position", **dict.fromkeys(names, "vector")}
    assert_equivariant(function, batch, inputs=kinds, outputs={k: "scalar" if k == "h" else "vector" for k in outputs})
    order = torch.randperm(batch.num_edges)
    shuffled = replace(batch, {"edge_index": batch.edge_index[:, order], "edge_attr": batch.edge_attr[order]})
    assert_close(function(shuffled), outputs, rtol=0, atol=1e-12)


def test_the_layer_is_that_of_the_backbone():
    backbone, batch = EGNN(8, 1, edge_channels=2).double(), ragged_batch(SIZES)
    conv, h = EGNNConv(8, 8, edge_dim=2).double(), torch.randn(13, 8).double()
    backbone.layers[0].load_state_dict(conv.layer.state_dict())
    scalars, vectors = backbone(h, batch.pos, batch.edge_index, edge_attr=batch.edge_attr)
    assert_close(conv(h, batch.pos, batch.edge_index, batch.edge_attr), (scalars, batch.pos + vectors[:, 0]))
    still = EGNNConv(8, 8, zero_init=True).double()
    assert torch.equal(still(h, batch.pos, batch.edge_index)[1], batch.pos)


@pytest.mark.parametrize("kind", VECTOR_CONVS)
def test_no_vectors_are_vectors_of_zero(kind):
    conv, batch = kind(4, 8).double(), ragged_batch(SIZES)
    given = (torch.randn(13, 4).double(), batch.pos, batch.edge_index)
    zeros = conv(*given, vectors=torch.zeros(13, 4, 3).double())
    assert_close(conv(*given), zeros)


@pytest.mark.parametrize("kind", [EGNNConv, *VECTOR_CONVS])
def test_a_small_network_of_pyg_learns(kind):
    """The sum of the directions to the neighbors, weighted by their charges: a vector of each node."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        batch = ragged_batch((4, 5, 3, 5), dtype=torch.float32)
        charge = torch.randn(17, 1)
        source, target = batch.edge_index
        away = batch.pos[target] - batch.pos[source]
        wanted = torch.zeros(17, 3).index_add(0, target, charge[source] * away / (1 + away.norm(dim=1, keepdim=True)))
        if kind is EGNNConv:
            calls = [(kind(1, 16), "h, pos, edge_index -> h, pos"), (kind(16, 16), "h, pos, edge_index -> h, pos")]
        else:
            calls = [
                (kind(1, 16), "h, pos, edge_index -> h, v"),
                (kind(16, 16), "h, pos, edge_index, v -> h, v"),
                (lambda v: v[:, 0], "v -> v"),
                (lambda v, pos: pos + v, "v, pos -> pos"),
                (lambda h, pos: (h, pos), "h, pos -> h, pos"),
            ]
        network = Sequential("h, pos, edge_index", calls)
        optimizer, losses = torch.optim.Adam(network.parameters(), 1e-2), []
        for _ in range(100):
            _, pos = network(charge, batch.pos, batch.edge_index)
            losses.append((pos - batch.pos - wanted).square().mean())
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
    assert losses[-1] < 0.1 * wanted.square().mean()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda h, pos, e: EGNNConv(8, 8)(h, pos, e), r"EGNNConv: h must have shape \[\*, 8\], but has \[13, 4\]"),
        (lambda h, pos, e: EGNNConv(4, 8)(h, pos, e, pos), "edge_dim=0: edge_attr must not be given"),
        (lambda h, pos, e: PaiNNConv(4, 8, 2)(h, pos, e), r"edge_dim=2: edge_attr must have shape \[32, 2\], .* None"),
        (lambda h, pos, e: PaiNNConv(4, 8)(h, pos, e, h), r"vectors must have shape \[13, 4, 3\], .*\[13, 4\]"),
        (lambda *_: EquivariantTransformerConv(4, 6), "out_channels must be a multiple of num_heads, but is 6 with 4"),
        (lambda *_: EGNNConv(0, 6), "needs in_channels and out_channels >= 1"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    batch = ragged_batch(SIZES)
    with pytest.raises(ValueError, match=words):
        call(torch.randn(13, 4), batch.pos.float(), batch.edge_index)


@pytest.mark.parametrize("conv", [EGNNConv, PaiNNConv, EquivariantTransformerConv])
@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("edge_index", torch.empty(2, 0), r"edge_index must be torch.int64, but is torch.float32"),
        ("edge_index", None, r"edge_index must be a tensor \[2, \*\], but is nothing"),
        (
            "edge_index",
            torch.tensor([[0, 1], [1, 2], [2, 0]]),
            r"edge_index must have shape \[2, \*\], but has \[3, 2\]",
        ),
        ("h", torch.zeros(3, 8, dtype=torch.float64), r"h must be torch.float32, but is torch.float64"),
        ("h", torch.zeros(3), r"h must have shape \[\*, 8\], but has \[3\]"),
        ("pos", torch.zeros(3, 3, dtype=torch.float64), r"pos must be torch.float32, but is torch.float64"),
        ("pos", torch.zeros(2, 3), r"pos must have shape \[3, \*\], but has \[2, 3\]"),
    ],
)
def test_what_is_no_graph_is_named(conv: type, name: str, value: torch.Tensor | None, problem: str):
    arguments = {"h": torch.zeros(3, 8), "pos": torch.randn(3, 3), "edge_index": torch.tensor([[0, 1], [1, 0]])}
    with pytest.raises(ValueError, match=f"{conv.__name__}: {problem}"):
        conv(8, 8)(**arguments | {name: value})
