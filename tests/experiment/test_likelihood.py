"""Log-likelihoods of given graphs: those of Gaussians in closed form, and of distorted drawings and conformers."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from graphscore.data.readers import Failure
from graphscore.testing import GaussianScore

pytest.importorskip("pydantic")

from graphscore.experiment.sampling.pipeline import Pipeline
from graphscore.layouts.rome import read_collection


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.load("layout", device="cpu")


def chain(size: int) -> Data:
    nodes = torch.arange(size)
    return Data(edge_index=to_undirected(torch.stack([nodes[:-1], nodes[1:]])), num_nodes=size)


@pytest.mark.exact
def test_gaussians_in_nats(pipeline):
    model = GaussianScore(pipeline.model.process)
    graphs = [chain(size) for size in (2, 5, 12, 3)]
    batch = Batch.from_data_list([pipeline.transform(graph) for graph in graphs])
    sample = model.sample(batch, torch.Generator().manual_seed(0), torch.float32)
    for graph, one in zip(graphs, sample.to_data_list(), strict=True):
        graph.pos = one.pos
    exact = model.log_density(sample)
    gaussian = pipeline.with_model(model)
    found = [*gaussian.log_likelihood(graphs, num_probes=None, tolerance=1e-6, start=1e-5)]
    assert [one.dimension for one in found] == [2, 8, 22, 4]  # in two dimensions, without the mean
    for one, nats in zip(found, exact.tolist(), strict=True):
        assert one.nats_per_dimension == pytest.approx(nats / one.dimension, abs=2e-3) and one.standard_error == 0
    drawn = [*gaussian.log_likelihood(graphs, num_probes=8, tolerance=1e-5, start=1e-5)]
    assert [one.standard_error > 0 for one in drawn] == [False, False, True, False]  # small ones need no directions
    assert abs(drawn[2].nats - found[2].nats) < 4 * drawn[2].standard_error


def test_distorted_drawings_are_less_likely_on_average(pipeline):
    records = [one for one in read_collection("rome") if one.part == "val" and len(one.drawings)]
    records = sorted(records, key=lambda record: record.graph.num_nodes or 0)[:3]
    noise = torch.Generator().manual_seed(0)

    def stretched(pos: torch.Tensor) -> torch.Tensor:
        return pos * torch.tensor([1.5, 2 / 3])

    def shaken(pos: torch.Tensor) -> torch.Tensor:
        return pos + 0.2 * torch.randn(pos.shape, generator=noise)

    kinds = (torch.clone, stretched, shaken)
    items = [
        Data(edge_index=one.graph.edge_index, num_nodes=one.graph.num_nodes, pos=kind(one.drawings[0]))
        for kind in kinds
        for one in records
    ]
    found = [*pipeline.log_likelihood(items, num_probes=2, tolerance=0.03)]
    values = torch.tensor([one.nats_per_dimension for one in found]).view(len(kinds), -1)
    errors = torch.tensor([one.error_per_dimension for one in found])
    assert (values[0].mean() > values[1:].mean(1) + 1).all() and errors.max() < 0.5
    again = [*pipeline.log_likelihood([items[0]], num_probes=2, tolerance=0.03)]
    assert again[0].nats == pytest.approx(found[0].nats, abs=1e-3 * found[0].dimension)


def test_graphs_without_a_likelihood_say_why(pipeline):
    parted = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3, pos=torch.zeros(3, 2))
    space = chain(3)
    space.pos = torch.randn(3, 3)
    items = [chain(3), parted, space, Failure("input", "line 1", "no graph")]
    found = [*pipeline.log_likelihood(items)]
    reasons = ["no coordinates", "not connected", "2 dimensions, but pos of the input has 3", "no graph"]
    for reason, one in zip(reasons, found, strict=True):
        assert reason in one.failure
    assert all(math.isnan(one.nats) for one in found)
    with pytest.raises(ValueError, match="at least 2 random directions, but num_probes is 1"):
        next(pipeline.log_likelihood(items, num_probes=1))
    with pytest.raises(ValueError, match="tolerance and start between 0 and 1"):
        next(pipeline.log_likelihood(items, tolerance=2))


def test_conformers_without_their_hydrogens():
    pytest.importorskip("rdkit")
    from graphscore.molecules.conformers import ConformerModel
    from graphscore.molecules.datasets.small_molecules import SmallMolecules

    model = ConformerModel.load(device="cpu")
    conformer = SmallMolecules().split("val")[2]
    bent = conformer.clone()
    bent.pos = bent.pos + 0.2 * torch.randn(bent.pos.shape, generator=torch.Generator().manual_seed(0))
    usual, strange = model.log_likelihood([conformer, bent], num_probes=2, tolerance=0.1)
    heavy = int((conformer.z != 1).sum())
    assert usual.dimension == 3 * (heavy - 1) and usual.nats_per_dimension > strange.nats_per_dimension + 1
