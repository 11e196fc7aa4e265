"""Energies of drawings: exact values, and what they do to drawings of validation graphs at what price in stress."""

from __future__ import annotations

import math
from collections.abc import Sequence

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

import graphscore as gs

pytest.importorskip("pydantic")

from graphscore.layouts.descent import descend
from graphscore.layouts.distances import shortest_paths
from graphscore.layouts.energies import (
    ENERGIES,
    Alignment,
    AspectRatio,
    Crossings,
    Grid,
    Overlap,
    Symmetry,
    TotalEnergy,
)
from graphscore.layouts.metrics import measure_drawings
from graphscore.layouts.rome import read_collection


def drawing(pos: list[tuple[float, float]], edges: Sequence[tuple[int, int]] = ()) -> Data:
    index = torch.tensor([*edges], dtype=torch.long).reshape(-1, 2).t()
    return Data(edge_index=torch.cat([index, index.flip(0)], 1), pos=torch.tensor(pos), num_nodes=len(pos))


@pytest.mark.exact
def test_values_of_small_drawings():
    cross = drawing([(0.0, 0.0), (2.0, 2.0), (0.0, 2.0), (2.0, 0.0)], [(0, 1), (2, 3)])
    beside = drawing([(0.0, 0.0), (2.0, 0.0), (0.0, 1.0), (2.0, 1.0)], [(0, 1), (2, 3)])
    square = drawing([(0.3, 0.1), (2.3, 0.1), (2.3, 3.1), (0.3, 3.1)], [(0, 1), (1, 2), (2, 3), (3, 0)])
    batch = Batch.from_data_list([cross, beside, square])
    for energy, expected in (
        (Crossings(0.1), [1, 0, 0]),
        (Overlap(4.0), [4 * (1 - 2 / 4) ** 2 + 2 * (1 - 8**0.5 / 4) ** 2, None, None]),
        (Alignment(), [2, 0, 0]),
        (Grid(), [0, 0, 0]),
        (Grid(1.5), [8 * (1 - abs(1 + np.exp(2j * np.pi * 4 / 3)) / 2), None, None]),
        (AspectRatio(), [0, 4 * math.log(2) ** 2, 4 * math.log(1.5) ** 2]),
        (AspectRatio(2 / 3), [None, None, 0]),
        (Symmetry(), [0, 0, 0]),
    ):
        for value, wanted in zip(energy(batch).tolist(), expected, strict=True):
            assert wanted is None or value == pytest.approx(wanted, abs=1e-5), energy
    askew = Batch.from_data_list([drawing([(-1.0, 0.0), (1.0, 0.5)])])
    assert Symmetry()(askew).item() == pytest.approx(2 * 0.25)
    both = TotalEnergy({"alignment": 2.0, Overlap(4.0): 0.5})
    assert torch.allclose(both(batch), 2 * Alignment()(batch) + 0.5 * Overlap(4.0)(batch))


@pytest.mark.exact
def test_the_smooth_number_of_crossings_is_theirs_in_the_limit():
    graph = nx.gnm_random_graph(12, 25, seed=0)
    pos = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    data = drawing([(0.0, 0.0)] * 12, [*graph.edges])
    data.pos = pos
    number = measure_drawings([data])["crossings"].item()
    batch = Batch.from_data_list([data, drawing([(0.0, 0.0)]), data])
    batch.pos = batch.pos.double()
    assert number > 10 and Crossings(1e-4)(batch).tolist() == pytest.approx([number, 0, number], abs=1e-3)


@pytest.mark.exact
@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_are_those_of_finite_differences(name):
    data = drawing([(0.0, 0.0)] * 7, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (0, 3), (1, 5)])
    batch = Batch.from_data_list([data, data])
    pos = 0.4 * torch.randn(14, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def energy(x: torch.Tensor) -> torch.Tensor:
        batch.pos = x
        return ENERGIES[name]()(batch)

    assert torch.autograd.gradcheck(energy, pos.requires_grad_(), eps=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def graphs() -> list[Data]:
    records = [
        one.graph for one in read_collection("rome") if one.part == "val" and 15 < (one.graph.num_nodes or 0) < 40
    ]
    return records[:4]


def drawn(graphs: list[Data], **options) -> list[Data]:
    found = gs.layout(graphs, seed=0, scale=None, **options)
    return [
        Data(edge_index=graph.edge_index, pos=torch.tensor(np.array([*one.values()])), num_nodes=graph.num_nodes)
        for graph, one in zip(graphs, found, strict=True)
    ]


@pytest.fixture(scope="module")
def before(graphs) -> dict[str, list[Data]]:
    return {"stress": drawn(graphs), "model": drawn(graphs, refine=None)}


@pytest.mark.parametrize(
    ("energy", "strength", "share", "price"),
    [
        (Crossings(), 3.0, 0.75, 1.1),
        (Overlap(1.0), 3.0, 0.5, 1.1),
        (Alignment(), 3.0, 0.25, 1.5),
        (Grid(), 1.0, 0.25, 1.4),
        (AspectRatio(), 3.0, 0.1, 1.1),
        (Symmetry(), 1.0, 0.5, 1.2),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else "",
)
def test_an_energy_falls_at_a_price_in_stress(graphs, before, energy, strength, share, price):
    after = drawn(graphs, energies={energy: strength})
    first, last = (energy(Batch.from_data_list(drawings)).mean() for drawings in (before["stress"], after))
    costs = [measure_drawings(drawings)["stress"].mean() for drawings in (before["stress"], after)]
    assert last < share * first and costs[1] < price * costs[0]


@pytest.mark.parametrize(
    "energy", [Overlap(), Alignment(), AspectRatio(), Symmetry()], ids=lambda one: type(one).__name__
)
def test_an_energy_guides_the_model(graphs, before, energy):
    after = drawn(graphs, refine=None, energies={energy: 1.0})
    first, last = (energy(Batch.from_data_list(drawings)).mean() for drawings in (before["model"], after))
    costs = [measure_drawings(drawings)["stress"].mean() for drawings in (before["model"], after)]
    assert last < 0.9 * first and costs[1] < 1.2 * costs[0]


def test_descent_holds_nodes_and_never_ends_higher():
    graph = nx.cycle_graph(6)
    distances = shortest_paths(torch.tensor([*graph.edges]).t(), torch.zeros(6, dtype=torch.long), 1)[0]
    pos = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    held = torch.tensor([True, True, False, False, False, False])
    energy = TotalEnergy({"alignment": 1.0})
    found = descend(pos, distances, distances == 1, energy, held)
    assert torch.equal(found.pos[:, held], pos[:, held]) and not torch.equal(found.pos, pos)
    again = descend(found.pos, distances, distances == 1, energy, held)
    assert (again.cost <= found.cost + 1e-5).all()


def test_options_are_checked():
    graph = nx.cycle_graph(5)
    for energies, said in (
        ({"beauty": 1.0}, "Unknown energy 'beauty'"),
        ({"crossings": -1.0}, "strengths of at least 0"),
        ({5: 1.0}, "Expected energies crossings, overlap"),
    ):
        with pytest.raises(ValueError, match=said):
            gs.layout(graph, energies=energies)
    with pytest.raises(ValueError, match="ratio must be positive and finite, but is 0"):
        AspectRatio(0)
    with pytest.raises(ValueError, match="in the plane, but dim is 3"):
        gs.layout(graph, energies={"grid": 1.0}, dim=3)
    with pytest.raises(ValueError, match="up to 128 nodes, but one has 200"):
        gs.layout(nx.path_graph(200), energies={"grid": 1.0})
    fixed = {0: (0.0, 0.0), 1: (0.0, 5.0)}
    pos = gs.layout(graph, pos=fixed, fixed=[0, 1], energies={"alignment": 1.0}, seed=0)
    assert pos[0].tolist() == [0, 0] and pos[1].tolist() == [0, 5]
